/** What balances are worth in another asset, by the last prices that servers tell: an estimate, and shown as one. */
import type { Schemas } from "souk-api";
import { formatUnits } from "../souk/amount.ts";
import { readAmount, readText } from "./read.ts";

/** The last price of a market. */
export interface Rate {
  base: string;
  quote: string;
  /** Quote units for one whole base coin. */
  price: bigint;
  baseDecimals: number;
  quoteDecimals: number;
}

/** The rates that tickers tell. Those without a price, and nonsense, are left out. */
export function ratesOf(tickers: readonly Schemas["Ticker"][]): Rate[] {
  const rates: Rate[] = [];
  for (const t of tickers) {
    try {
      const [base, quote, more] = readText(t.symbol, "ticker", 24).split("-");
      if (!base || !quote || more !== undefined || t.last === undefined) continue;
      const price = readAmount(t.last, "ticker");
      if (price.units > 0n) rates.push({ base, quote, price: price.units, baseDecimals: readAmount(t.volume, "ticker").decimals, quoteDecimals: price.decimals });
    } catch {
      continue; // an estimate does without it
    }
  }
  return rates;
}

/** At most so many markets between an asset and what it is valued in. */
const hops = 3;

/** What units of an asset are worth in another one; undefined if no markets lead there. Rests are cut off. */
export function convert(units: bigint, from: string, to: string, rates: readonly Rate[]): bigint | undefined {
  const seen = new Set([from]);
  let front = [{ symbol: from, units }];
  for (let hop = 0; hop <= hops; hop++) {
    const there = front.find((f) => f.symbol === to);
    if (there) return there.units;
    const next: typeof front = [];
    for (const f of front) {
      for (const r of rates) {
        const [symbol, value] =
          r.base === f.symbol ? [r.quote, (f.units * r.price) / 10n ** BigInt(r.baseDecimals)]
          : r.quote === f.symbol ? [r.base, (f.units * 10n ** BigInt(r.baseDecimals)) / r.price]
          : ["", 0n];
        if (symbol === "" || seen.has(symbol)) continue;
        seen.add(symbol);
        next.push({ symbol, units: value });
      }
    }
    front = next;
  }
  return undefined;
}

/** The decimals of an asset, as the rates have them. */
export function decimalsOf(symbol: string, rates: readonly Rate[]): number | undefined {
  const r = rates.find((x) => x.base === symbol || x.quote === symbol);
  return r && (r.base === symbol ? r.baseDecimals : r.quoteDecimals);
}

/** A value as text. Of estimates as many decimals as money has are enough. */
export function estimateText(units: bigint, decimals: number): string {
  if (units === 0n) return "0.00";
  const whole = 10n ** BigInt(decimals);
  if (decimals <= 2 || units < whole) return formatUnits(units, decimals, { group: true });
  return formatUnits(units / 10n ** BigInt(decimals - 2), 2, { group: true });
}

/** In which assets values can be shown: quote assets of markets; first those that nothing prices in turn, then those with most markets. */
export function quotesOf(rates: readonly Rate[]): string[] {
  const count = new Map<string, number>();
  for (const r of rates) count.set(r.quote, (count.get(r.quote) ?? 0) + 1);
  const priced = (symbol: string) => Number(rates.some((r) => r.base === symbol));
  return [...count].sort((a, b) => priced(a[0]) - priced(b[0]) || b[1] - a[1] || a[0].localeCompare(b[0])).map(([symbol]) => symbol);
}
