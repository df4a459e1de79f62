/** Rows of the ladder: levels in groups, with sums from the spread outwards. */
import type { Level } from "./book.ts";
import type { Side } from "./terms.ts";

/** One row: the worst price of its group for who takes it. */
export interface Row {
  readonly price: bigint;
  readonly quantity: bigint;
  /** Quantity from the best price to this row, this row included. */
  readonly sum: bigint;
  /** Of the quantity: in own orders. */
  readonly own: bigint;
}

/** What one's own orders have resting at a price. */
export type Own = ReadonlyMap<bigint, bigint>;

/** The steps that prices can be grouped by: 1, 2, 5, 10, ... ticks, up to about a hundredth of the price. */
export function steps(tick: bigint, price: bigint): bigint[] {
  const all: bigint[] = [];
  for (let ten = tick; all.length < 12; ten *= 10n) {
    for (const n of [1n, 2n, 5n]) {
      if (all.length > 0 && ten * n * 100n > price) return all;
      all.push(ten * n);
    }
  }
  return all;
}

/**
 * The row that a price belongs to: rounded away from the spread, so that a row never shows a
 * quantity at a better price than it is to be had at.
 */
export function rowPrice(side: Side, price: bigint, step: bigint): bigint {
  const low = price - (price % step);
  return side === "buy" || low === price ? low : low + step;
}

/** Groups the levels of a side, best first, into at most `limit` rows. */
export function rows(side: Side, levels: readonly Level[], step: bigint, limit: number, own: Own): Row[] {
  const out: { price: bigint; quantity: bigint; sum: bigint; own: bigint }[] = [];
  let sum = 0n;
  for (const level of levels) {
    const price = rowPrice(side, level.price, step);
    let row = out[out.length - 1];
    if (row === undefined || row.price !== price) {
      if (out.length === limit) break;
      row = { price, quantity: 0n, sum, own: 0n };
      out.push(row);
    }
    sum += level.quantity;
    row.quantity += level.quantity;
    row.sum = sum;
    row.own += own.get(level.price) ?? 0n;
  }
  return out;
}

/** What of two amounts is of the larger one, in thousandths: the length of a bar. */
export function share(part: bigint, whole: bigint): number {
  if (whole <= 0n) return 0;
  const thousandths = Number((part * 1000n) / whole);
  return Math.min(1000, thousandths) / 1000;
}

/** The spread between the best prices, and in hundredths of a percent of the middle. */
export function spread(bids: readonly Level[], asks: readonly Level[]): { ticks: bigint; basis: bigint } | undefined {
  const bid = bids[0];
  const ask = asks[0];
  if (!bid || !ask) return undefined;
  const gap = ask.price - bid.price;
  return { ticks: gap, basis: (gap * 20_000n) / (ask.price + bid.price) };
}

/** Where the arrow keys go in a list of rows from the worst ask down to the worst bid. */
export function moved(prices: readonly bigint[], at: bigint | undefined, by: number, start: number): bigint | undefined {
  if (prices.length === 0) return undefined;
  const found = at === undefined ? -1 : prices.indexOf(at);
  // A row that has gone leaves the place where it would stand.
  const from = found >= 0 ? found : at === undefined ? undefined : prices.findIndex((p) => p < at);
  if (from === undefined || (found < 0 && from < 0)) return prices[Math.min(Math.max(start, 0), prices.length - 1)];
  return prices[Math.min(Math.max(from + by, 0), prices.length - 1)];
}
