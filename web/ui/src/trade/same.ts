/** What is shown compared with what is proven, and what a receipt says: plain functions of both. */
import type { Schemas } from "souk-api";
import type { Fill } from "../money/read.ts";
import type { MarketFacts } from "../souk/describe.ts";
import type { Trade } from "../souk/leaf.ts";
import { text } from "../text.ts";
import { inBase, inQuote } from "./show.ts";
import type { Side, Terms } from "./terms.ts";

/** Whether what a server says of a market is what is proven of it, as far as amounts hang on it (H-90). */
export function sameMarket(proven: MarketFacts, terms: Terms): boolean {
  const { base, quote } = proven;
  return (
    proven.number === terms.id &&
    base.number === terms.baseId && base.symbol === terms.base && base.decimals === terms.baseDecimals &&
    quote.number === terms.quoteId && quote.symbol === terms.quote && quote.decimals === terms.quoteDecimals
  );
}

type Shown = Pick<Fill, "trade" | "order" | "market" | "side" | "role" | "price" | "quantity" | "height" | "time">;

/** What of a fill is not as its proven trade says; empty if all is (H-62). */
export function differences(fill: Shown, trade: Trade): string[] {
  const t = text.trade.why.parts;
  // In the inner cross both orders are new: the seller's stands in the place of the maker's.
  const own = trade.inner ? (fill.side === "buy" ? trade.taker : trade.maker) : fill.role === "taker" ? trade.taker : trade.maker;
  const taking: Side = fill.role === "taker" ? fill.side : fill.side === "buy" ? "sell" : "buy";
  const wrong: string[] = [];
  if (trade.id !== BigInt(fill.trade) || trade.market !== fill.market) wrong.push(t.name);
  if (trade.price !== fill.price) wrong.push(t.price);
  if (trade.quantity !== fill.quantity) wrong.push(t.quantity);
  if (own !== BigInt(fill.order)) wrong.push(t.order);
  if (!trade.inner && trade.taking !== taking) wrong.push(t.side);
  if (trade.height !== BigInt(fill.height) || trade.time !== BigInt(fill.time)) wrong.push(t.block);
  return wrong;
}

type Result = Pick<Schemas["Receipt"], "filled_units" | "cost_units" | "status" | "number" | "height">;

/** What an order's receipt says, for people (K-10). `wanted` is its quantity; zero if it was by amount. */
export function outcome(r: Result, side: Side, terms: Terms, wanted: bigint): string {
  const t = text.trade.form;
  const filled = BigInt(r.filled_units ?? "0");
  const number = r.number ?? 0;
  if (filled === 0n) {
    if (r.status === "waiting") return t.waitsNow(number);
    return r.status === "resting" ? t.stays(number) : t.ended;
  }
  const quantity = inBase(filled, terms);
  const value = inQuote(BigInt(r.cost_units ?? "0"), terms);
  if (r.status === "resting") return t.part(side, quantity, value);
  return filled < wanted ? t.partGone(side, quantity, value) : t.filled(side, quantity, value, r.height);
}
