/** Says what happened to the account to the one live region: fills and results, never ticks. */
import { formatUnits } from "../souk/amount.ts";
import { text } from "../text.ts";
import { announce } from "./announce.svelte.ts";
import type { News } from "./ledger.ts";

/** More fills than so many of one block are said as one sentence. */
const single = 3;

export function say(news: News): void {
  const t = text.money.said;
  if (news.fills.length > single) announce.say(t.fills(news.fills.length), "good");
  else {
    for (const f of news.fills) {
      const [base = "", quote = ""] = f.symbol.split("-");
      const amount = `${formatUnits(f.quantity, f.baseDecimals, { trim: true })} ${base}`;
      const price = `${formatUnits(f.price, f.quoteDecimals, { trim: true })} ${quote}`;
      announce.say(f.side === "buy" ? t.bought(amount, price) : t.sold(amount, price), "good");
    }
  }
  for (const d of news.deposited) announce.say(t.deposited(`${formatUnits(d.amount.units, d.amount.decimals, { trim: true })} ${d.symbol}`), "good");
  for (const p of news.payments) {
    if (p.kind === "received") announce.say(t.received(`${formatUnits(p.amount.units, p.amount.decimals, { trim: true })} ${p.symbol}`), "good");
  }
}
