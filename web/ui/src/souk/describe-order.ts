/** What commands about orders do. */
import { costOf } from "./amount.ts";
import type { Body, Target } from "./body.ts";
import { type Facts, type Line, type MarketFacts, type Said, Unclear, pairName, spanText, timeText } from "./describe.ts";
import { words } from "./describe-text.ts";

const { label, title } = words;
type Place = Extract<Body, { kind: "place" }>;
type OCO = Extract<Body, { kind: "place-oco" }>;

/** Says what a command about orders does; undefined if it is about something else. */
export function describeOrder(b: Body, f: Facts): Said | undefined {
  switch (b.kind) {
    case "place":
      return place(b, f);
    case "place-oco":
      return oco(b, f);
    case "cancel":
      return { title: title.cancel, lines: named(b.target, f), warnings: unseen(b.target, f) };
    case "cancel-all":
      if (b.market === 0) return { title: title.cancelAll, lines: [{ label: label.where, value: words.allMarkets }] };
      return { title: title.cancelAllIn(pairName(f.market(b.market))), lines: [] };
    case "cancel-all-after":
      if (b.delay === 0n) return { title: title.disarm, lines: [] };
      return { title: title.arm(spanText(b.delay)), lines: [{ label: label.where, value: words.allMarkets }] };
    case "amend":
      return amend(b, f);
    default:
      return undefined;
  }
}

/** Whether kind, time in force and the rest go together (M-7); what does not has no meaning to tell. */
export function makesSense(b: Place): boolean {
  const waits = b.order !== "limit" && b.order !== "market";
  const limited = b.order === "limit" || b.order.endsWith("-limit");
  const stays = b.tif === "gtc" || b.tif === "gtd";
  const tif = {
    limit: true, market: !stays, stop: stays, "take-profit": stays, "stop-limit": b.tif !== "fok", "take-profit-limit": b.tif !== "fok",
  }[b.order];
  const byQuote = b.quote !== 0n;
  return (
    tif && b.price !== 0n && waits === (b.trigger !== 0n) && (b.tif === "gtd") === (b.expiry !== 0n) &&
    (!b.postOnly || (limited && stays)) && (byQuote ? b.order === "market" && b.tif === "ioc" && b.quantity === 0n : b.quantity !== 0n)
  );
}

function place(b: Place, f: Facts): Said {
  if (!makesSense(b)) throw new Unclear(words.refuse.combination);
  const m = f.market(b.market);
  const verb = words.verb[b.side];
  const limited = b.order === "limit" || b.order.endsWith("-limit");
  const lines: Line[] = [{ label: label.market, value: pairName(m) }, { label: label.side, value: words.side[b.side] }];
  if (b.quote === 0n) lines.push({ label: label.quantity, value: f.amount(m.base, b.quantity) });
  else lines.push({ label: b.side === "buy" ? label.spend : label.receive, value: f.amount(m.quote, b.quote) });
  if (b.trigger !== 0n) {
    // A stop waits for the price to go against its side, a take-profit for the other way (M-6).
    const rises = (b.side === "buy") === b.order.startsWith("stop");
    lines.push({ label: label.trigger, value: (rises ? words.rises : words.falls)(f.price(m, b.trigger)) });
  }
  lines.push({ label: limited ? label.price : label.worst, value: f.price(m, b.price) });
  if (b.quote === 0n) lines.push(bound(b.side, m, b.price, b.quantity, f));
  lines.push({ label: label.validity, value: b.tif === "gtd" ? words.gtd(timeText(b.expiry)) : words.tif[b.tif] });
  if (b.postOnly) lines.push({ label: label.maker, value: words.yes });
  if (b.client !== "") lines.push({ label: label.client, value: b.client });
  const kind = words.order[b.order];
  const what = b.quote === 0n
    ? title.place(verb, f.amount(m.base, b.quantity), kind)
    : title.placeBy(verb, m.base.symbol, f.amount(m.quote, b.quote), kind);
  return { title: what, lines, warnings: b.order === "market" ? farOff(b, m, f) : [] };
}

/** Beyond so many millionths from the last trade a worst price is warned of. */
const far = 50_000n;

/**
 * The worst price that a form proposes comes from a book, and a book is one server's word: it is held against the
 * last trade's price, which is proven (H-94).
 */
function farOff(b: Place, m: MarketFacts, f: Facts): string[] {
  if (!f.world.last) return [];
  const last = f.world.last(b.market);
  if (last === undefined || last === 0n) return [words.warn.noLast];
  const off = b.side === "buy" ? b.price - last : last - b.price;
  return off * 1_000_000n > last * far ? [words.warn.farOff(String((off * 100n) / last), f.price(m, last))] : [];
}

/** A cancel whose order is not proven may be of another one than its user means. */
function unseen(t: Target, f: Facts): string[] {
  return t.order !== 0n && f.world.order && !f.world.order(t.order) ? [words.warn.unseen] : [];
}

/** What an order costs at most, or brings at least, at its limit; fees of the market apart (M-15). */
function bound(side: "buy" | "sell", m: MarketFacts, price: bigint, quantity: bigint, f: Facts): Line {
  const buy = side === "buy";
  const units = costOf(price, quantity, m.base.decimals, buy ? "up" : "down");
  return { label: buy ? label.cost : label.proceeds, value: f.amount(m.quote, units) };
}

function oco(b: OCO, f: Facts): Said {
  if (b.quantity === 0n || b.limit === 0n || b.trigger === 0n || b.price === 0n) throw new Unclear(words.refuse.combination);
  const m = f.market(b.market);
  const trigger = (b.side === "buy" ? words.rises : words.falls)(f.price(m, b.trigger));
  const worst = b.side === "buy" ? (b.price > b.limit ? b.price : b.limit) : b.price < b.limit ? b.price : b.limit;
  const lines: Line[] = [
    { label: label.market, value: pairName(m) },
    { label: label.side, value: words.side[b.side] },
    { label: label.quantity, value: f.amount(m.base, b.quantity) },
    { label: label.limitLeg, value: f.price(m, b.limit) },
    { label: label.stopLeg, value: trigger },
    { label: b.stopLimit ? label.price : label.worst, value: f.price(m, b.price) },
    bound(b.side, m, worst, b.quantity, f),
    { label: label.validity, value: b.expiry === 0n ? words.tif.gtc : words.gtd(timeText(b.expiry)) },
  ];
  for (const client of [b.limitClient, b.stopClient]) if (client !== "") lines.push({ label: label.client, value: client });
  return { title: title.oco(words.verb[b.side], f.amount(m.base, b.quantity)), lines };
}

function named(t: Target, f: Facts): Line[] {
  const lines: Line[] = [{ label: label.order, value: t.order !== 0n ? String(t.order) : t.client }];
  const o = t.order !== 0n ? f.world.order?.(t.order) : undefined;
  if (o && o.id === t.order) {
    const m = f.market(o.market);
    lines.push({ label: label.now, value: `${words.side[o.side]} ${f.amount(m.base, o.quantity)}, ${f.price(m, o.price)}` });
  }
  return lines;
}

function amend(b: Extract<Body, { kind: "amend" }>, f: Facts): Said {
  // Its numbers are counted in the units of the order's market, so that has to be known (H-92).
  const o = b.target.order !== 0n ? f.world.order?.(b.target.order) : undefined;
  if (!o || o.id !== b.target.order) throw new Unclear(words.refuse.order);
  if (b.quantity === 0n) throw new Unclear(words.refuse.zero);
  const m = f.market(o.market);
  const price = b.price === 0n ? o.price : b.price;
  return {
    title: title.amend,
    lines: [
      ...named(b.target, f),
      { label: label.market, value: pairName(m) },
      { label: label.side, value: words.side[o.side] },
      { label: label.quantity, value: f.amount(m.base, b.quantity) },
      { label: label.price, value: f.price(m, price) },
      bound(o.side, m, price, b.quantity, f),
    ],
  };
}
