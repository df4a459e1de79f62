/** What it takes to move the price: exact sums over the book, and the points of its picture. */
import { ceilDiv, coinOf, million, type Side, type Terms } from "./terms.ts";
import type { Level } from "./book.ts";

/** What an order takes out of the book. */
export interface Taken {
  quantity: bigint;
  /** The sum of price times quantity, which is not rounded (M-30). */
  product: bigint;
  /** Levels that are used up or touched. */
  levels: number;
  /** The last price that trades. */
  last: bigint | undefined;
}

const nothing: Taken = { quantity: 0n, product: 0n, levels: 0, last: undefined };

/** Takes up to a quantity out of one side's levels, best first, none worse than the limit. */
export function take(side: Side, levels: readonly Level[], limit: bigint, quantity: bigint): Taken {
  const taken = { ...nothing };
  for (const level of levels) {
    if (taken.quantity >= quantity || beyond(side, level.price, limit)) break;
    const rest = quantity - taken.quantity;
    const part = level.quantity < rest ? level.quantity : rest;
    taken.quantity += part;
    taken.product += part * level.price;
    taken.levels++;
    taken.last = level.price;
  }
  return taken;
}

/** Whether a taker of a side with this limit does not reach a price. */
export const beyond = (side: Side, price: bigint, limit: bigint): boolean => (side === "buy" ? price > limit : price < limit);

/**
 * Takes for a quote amount as M-52 has it: at a level the order counts for as many lots as
 * what is left of the amount is worth there; where that is no lot, it is done.
 */
export function takeAmount(side: Side, levels: readonly Level[], limit: bigint, amount: bigint, most: bigint, terms: Terms): Taken {
  const taken = { ...nothing };
  let purse = amount * coinOf(terms);
  for (const level of levels) {
    if (beyond(side, level.price, limit)) break;
    let part = (purse / level.price / terms.lot) * terms.lot;
    if (part > most - taken.quantity) part = most - taken.quantity;
    if (part <= 0n) break;
    if (part > level.quantity) part = level.quantity;
    purse -= part * level.price;
    taken.quantity += part;
    taken.product += part * level.price;
    taken.levels++;
    taken.last = level.price;
  }
  return taken;
}

/** What moving the price costs. */
export interface Move {
  side: Side;
  price: bigint;
  quantity: bigint;
  /** What a buyer pays, or a seller gets before the fee, as one order. */
  value: bigint;
  /** The taker's fee: in base for a buyer, in quote for a seller. */
  fee: bigint;
  /** Whether the book is known as far as this. */
  known: boolean;
}

/**
 * What it costs to move the price to `price`: all that is offered at better prices has to be
 * taken first. Nothing if the price is between the best ones.
 */
export function costToMove(bids: readonly Level[], asks: readonly Level[], price: bigint, terms: Terms): Move | undefined {
  const bid = bids[0];
  const ask = asks[0];
  const side: Side | undefined = ask && price > ask.price ? "buy" : bid && price < bid.price ? "sell" : undefined;
  if (side === undefined) return undefined;
  const levels = side === "buy" ? asks : bids;
  let quantity = 0n;
  let product = 0n;
  let known = false;
  for (const level of levels) {
    if (side === "buy" ? level.price >= price : level.price <= price) {
      known = true;
      break;
    }
    quantity += level.quantity;
    product += level.quantity * level.price;
  }
  const coin = coinOf(terms);
  const value = side === "buy" ? ceilDiv(product, coin) : product / coin;
  const fee = ceilDiv((side === "buy" ? quantity : value) * terms.takerPpm, million);
  return { side, price, quantity, value, fee, known };
}

/** A corner of the picture: from this price on, so much in all. Numbers, for it is only drawn. */
export interface Point {
  price: number;
  sum: number;
}

/** The running sums of one side, best first, as far as `reach` from the middle. */
export function curve(levels: readonly Level[], terms: Terms, low: number, high: number): Point[] {
  const price = 10 ** terms.quoteDecimals;
  const coin = 10 ** terms.baseDecimals;
  const points: Point[] = [];
  let sum = 0n;
  for (const level of levels) {
    const at = Number(level.price) / price;
    if (at < low || at > high) break;
    sum += level.quantity;
    points.push({ price: at, sum: Number(sum) / coin });
  }
  return points;
}
