/** What a market's numbers are counted in, as the form, the ladder and the charts need it. */
import type { Schemas } from "souk-api";
import { parseUnits } from "../souk/amount.ts";

/** A side of the market: buys are bids, sells are asks. */
export type Side = "buy" | "sell";

/** The terms of a market (M-1), amounts in ledger units. */
export interface Terms {
  id: number;
  symbol: string;
  base: string;
  quote: string;
  baseId: number;
  quoteId: number;
  baseDecimals: number;
  quoteDecimals: number;
  tick: bigint;
  lot: bigint;
  minNotional: bigint;
  makerPpm: bigint;
  takerPpm: bigint;
  /** How far a limit may be from the middle, in millionths; 0 is no band (M-8). */
  bandPpm: bigint;
  /** The price of the last trade, before the first one that of the terms (M-8). */
  reference: bigint;
  paused: boolean;
}

/** Bounds of M-1 and M-9. */
export const maxPrice = (1n << 62n) - 1n;
export const maxLots = (1n << 40n) - 1n;
export const maxAmount = (1n << 63n) - 1n;

export const million = 1_000_000n;

const maxDecimals = 18;
const symbolForm = /^[A-Z0-9]{1,10}$/;

/** Reads a market as the API tells it. Throws if it is not one. */
export function readTerms(m: Schemas["Market"]): Terms {
  for (const decimals of [m.base_decimals, m.quote_decimals]) {
    if (!Number.isInteger(decimals) || decimals < 0 || decimals > maxDecimals) throw new RangeError(`an asset has no ${decimals} decimals`);
  }
  if (![m.base, m.quote].every((s) => symbolForm.test(s)) || m.symbol !== `${m.base}-${m.quote}`) throw new RangeError("a market is named for its assets");
  const terms: Terms = {
    id: m.id,
    symbol: m.symbol,
    base: m.base,
    quote: m.quote,
    baseId: m.base_id,
    quoteId: m.quote_id,
    baseDecimals: m.base_decimals,
    quoteDecimals: m.quote_decimals,
    tick: parseUnits(m.tick, m.quote_decimals),
    lot: parseUnits(m.lot, m.base_decimals),
    minNotional: parseUnits(m.min_notional, m.quote_decimals),
    makerPpm: BigInt(m.maker_ppm),
    takerPpm: BigInt(m.taker_ppm),
    bandPpm: BigInt(m.band_ppm),
    reference: parseUnits(m.last ?? m.reference, m.quote_decimals),
    paused: m.paused,
  };
  if (terms.tick <= 0n || terms.lot <= 0n) throw new RangeError(`market ${m.symbol} has no tick or no lot`);
  return terms;
}

/** 10^d: how many ledger units a whole coin of the base has. */
export const coinOf = (terms: { baseDecimals: number }): bigint => 10n ** BigInt(terms.baseDecimals);

/** Division of amounts that are not negative, rounded up. */
export const ceilDiv = (a: bigint, b: bigint): bigint => (a + b - 1n) / b;

/** The other side. */
export const other = (side: Side): Side => (side === "buy" ? "sell" : "buy");

/** Tells whether a price is strictly better than another one for who waits on a side. */
export const better = (side: Side, a: bigint, b: bigint): boolean => (side === "buy" ? a > b : a < b);

/** The prices that a band around a middle lets in, both included (M-8). */
export function bandOf(middle: bigint, ppm: bigint): { low: bigint; high: bigint } | undefined {
  if (ppm === 0n) return undefined;
  const away = (middle * ppm) / million;
  return { low: middle > away ? middle - away : 0n, high: middle + away };
}

/** How many decimals prices are shown with: those that the tick needs, of so many that there are. */
export function shownDecimals(step: bigint, decimals: number): number {
  let shown = decimals;
  for (let rest = step; shown > 0 && rest % 10n === 0n; rest /= 10n) shown--;
  return shown;
}
