/** Markets and levels for tests, written as people write them. */
import { parseUnits } from "../souk/amount.ts";
import type { Level } from "./book.ts";
import type { Terms } from "./terms.ts";

/** The market of the examples in docs/spec/04-market.md: BTC with 8 decimals for EUR with 2. */
export function terms(some: Partial<Terms> = {}): Terms {
  return {
    id: 1, symbol: "BTC-EUR", base: "BTC", quote: "EUR", baseId: 1, quoteId: 2, baseDecimals: 8, quoteDecimals: 2,
    tick: 1n, lot: 10_000n, minNotional: 100n, makerPpm: 0n, takerPpm: 0n, bandPpm: 0n, reference: 5_000_000n, paused: false, ...some,
  };
}

/** Levels from pairs of price and quantity. */
export function levels(t: Terms, ...pairs: [price: string, quantity: string][]): Level[] {
  return pairs.map(([p, q]) => ({ price: parseUnits(p, t.quoteDecimals), quantity: parseUnits(q, t.baseDecimals) }));
}

export const eur = (text: string): bigint => parseUnits(text, 2);
export const btc = (text: string): bigint => parseUnits(text, 8);

/** A generator of numbers that are the same in every run. */
export function random(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}
