/** What orders hold, cost and pay in fees, rounded exactly as the ledger rounds (M-14 to M-17, M-30, M-32). */
import { beyond, take, takeAmount, type Taken } from "./depth.ts";
import type { Level } from "./book.ts";
import { bandOf, ceilDiv, coinOf, maxAmount, maxLots, million, type Side, type Terms } from "./terms.ts";

/** What a buyer has paid for fills whose products of price and quantity sum up to this; a seller has got the other (M-30). */
export const paidFor = (product: bigint, terms: Terms): bigint => ceilDiv(product, coinOf(terms));
export const gotFor = (product: bigint, terms: Terms): bigint => product / coinOf(terms);

/** The fee of an order whose fills credited so much at such rates: rounded up once (M-32). */
export function feeOf(credits: readonly (readonly [credit: bigint, ppm: bigint])[]): bigint {
  return ceilDiv(credits.reduce((sum, [credit, ppm]) => sum + credit * ppm, 0n), million);
}

/** A size: of base, or by quote amount. */
export type Size = { quantity: bigint } | { amount: bigint };

/** What the order sets aside when it is admitted: quote for a buy, base for a sell (M-14 to M-16). */
export function holdOf(side: Side, price: bigint, size: Size, terms: Terms): bigint {
  if ("amount" in size) return side === "buy" ? size.amount : lotsFor(size.amount, price, terms);
  return side === "buy" ? paidFor(price * size.quantity, terms) : size.quantity;
}

/** The base, in whole lots, that an amount is worth at a price. */
export function lotsFor(amount: bigint, price: bigint, terms: Terms): bigint {
  return price === 0n ? 0n : ((amount * coinOf(terms)) / price / terms.lot) * terms.lot;
}

/**
 * The size that holds at most a share of what is available, after the command's fee: what
 * the buttons of 25 to 100 % fill in. `price` is the limit or the worst price.
 */
export function portion(side: Side, by: "quantity" | "amount", price: bigint, available: bigint, percent: bigint, terms: Terms): bigint {
  if (available <= 0n || price <= 0n) return 0n;
  let budget = (available * percent) / 100n;
  if (budget > maxAmount) budget = maxAmount;
  const most = maxLots * terms.lot;
  if (by === "amount") {
    if (side === "buy") return budget;
    const base = budget < most ? budget : most;
    return (((base / terms.lot) * terms.lot) * price) / coinOf(terms);
  }
  const base = side === "buy" ? (budget * coinOf(terms)) / price : budget;
  return ((base < most ? base : most) / terms.lot) * terms.lot;
}

/** What an order would do if the book stayed as it is now. */
export interface Estimate {
  hold: bigint;
  /** What trades at once. */
  now: Taken;
  /** Paid (buy), or got before the fee (sell), for what trades at once. */
  value: bigint;
  fee: bigint;
  /** The part that does not trade at once: it rests, waits, or is cancelled. */
  rest: bigint;
  /** For the whole order: what is paid in all, or got after the fee, and the fee. */
  total: bigint;
  totalFee: bigint;
  /** The same at the worst price that it accepts. */
  worst: bigint;
}

/** What the estimate has to know of an order. */
export interface Plan {
  side: Side;
  size: Size;
  price: bigint;
  /** The part that does not trade at once stays in the book. */
  rests: boolean;
  /** It waits for its trigger: nothing trades at once. */
  waits: boolean;
  /** It trades whole or not at all. */
  whole: boolean;
  postOnly: boolean;
}

/** Estimates an order against the levels of the other side. */
export function estimate(plan: Plan, levels: readonly Level[], terms: Terms): Estimate {
  const { side, size, price } = plan;
  const hold = holdOf(side, price, size, terms);
  const rate = plan.postOnly ? terms.makerPpm : terms.takerPpm;
  const most = side === "sell" && "amount" in size ? hold : maxLots * terms.lot;
  let now: Taken = { quantity: 0n, product: 0n, levels: 0, last: undefined };
  if (!plan.waits && !plan.postOnly) {
    now = "amount" in size
      ? takeAmount(side, levels, price, size.amount, most, terms)
      : take(side, levels, price, size.quantity);
    if (plan.whole && "quantity" in size && now.quantity < size.quantity) now = { quantity: 0n, product: 0n, levels: 0, last: undefined };
  }
  const value = side === "buy" ? paidFor(now.product, terms) : gotFor(now.product, terms);
  const fee = feeOf([[side === "buy" ? now.quantity : value, rate]]);
  const rest = "quantity" in size ? size.quantity - now.quantity : 0n;

  // What rests or waits is counted at its limit.
  const later = plan.rests || plan.waits ? rest : 0n;
  const product = now.product + later * price;
  const all = side === "buy" ? paidFor(product, terms) : gotFor(product, terms);
  const laterRate = plan.rests ? terms.makerPpm : terms.takerPpm;
  const totalFee = side === "buy"
    ? feeOf([[now.quantity, rate], [later, laterRate]])
    : feeOf([[value, rate], [all - value, laterRate]]);
  return { hold, now, value, fee, rest, total: side === "buy" ? all : all - totalFee, totalFee, worst: worstOf(plan, hold, terms) };
}

/** What the whole order costs at worst, or brings after the taker's fee. */
function worstOf(plan: Plan, hold: bigint, terms: Terms): bigint {
  if (plan.side === "buy") return hold;
  const got = "amount" in plan.size ? plan.size.amount : gotFor(plan.price * plan.size.quantity, terms);
  return got - feeOf([[got, plan.postOnly ? terms.makerPpm : terms.takerPpm]]);
}

/** How far beyond the expected price a market order goes unless its user says it: 1 %, a triggered stop 2 %. */
const slack = { market: 10_000n, stop: 20_000n };

/**
 * The worst price that the form fills in for an order at market: behind the last level that
 * it needs, on a tick, inside the band.
 */
export function worstPrice(side: Side, levels: readonly Level[], size: bigint, trigger: bigint, terms: Terms): bigint {
  const start = trigger > 0n ? trigger : (reach(levels, size) ?? terms.reference);
  const ppm = trigger > 0n ? slack.stop : slack.market;
  let price = side === "buy" ? (start * (million + ppm)) / million : ceilDiv(start * (million - ppm), million);
  const band = bandOf(trigger > 0n ? trigger : terms.reference, terms.bandPpm);
  if (band) price = price > band.high ? band.high : price < band.low ? band.low : price;
  const onTick = side === "buy" ? (price / terms.tick) * terms.tick : ceilDiv(price, terms.tick) * terms.tick;
  return onTick > 0n ? onTick : terms.tick;
}

/** The price of the last level that a quantity needs; of the best level if the quantity is not known. */
function reach(levels: readonly Level[], size: bigint): bigint | undefined {
  let sum = 0n;
  let price: bigint | undefined;
  for (const level of levels) {
    price = level.price;
    sum += level.quantity;
    if (sum >= size) break;
  }
  return price;
}

/** Whether a limit reaches the other side's best price now. */
export function crosses(side: Side, price: bigint, levels: readonly Level[]): boolean {
  const best = levels[0];
  return best !== undefined && !beyond(side, best.price, price);
}
