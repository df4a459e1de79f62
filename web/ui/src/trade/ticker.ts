/** Markets and their last 24 hours as the list shows them. */
import type { Schemas } from "souk-api";
import { formatUnits, parseUnits } from "../souk/amount.ts";
import type { Terms } from "./terms.ts";

export interface Day {
  last: bigint | undefined;
  before: bigint | undefined;
  high: bigint | undefined;
  low: bigint | undefined;
  /** In base and in quote. */
  volume: bigint;
  value: bigint;
  trades: number;
}

export function readDay(t: Schemas["Ticker"], terms: Terms): Day {
  const price = (text: string | undefined) => (text === undefined ? undefined : parseUnits(text, terms.quoteDecimals));
  return {
    last: price(t.last),
    before: price(t.before),
    high: price(t.high),
    low: price(t.low),
    volume: parseUnits(t.volume, terms.baseDecimals),
    value: parseUnits(t.value, terms.quoteDecimals),
    trades: t.trades,
  };
}

/** The change from the price before the 24 hours to the last one, in hundredths of a percent. */
export function changeOf(day: Pick<Day, "last" | "before"> | undefined): bigint | undefined {
  if (day?.last === undefined || day.before === undefined || day.before === 0n) return undefined;
  const away = day.last - day.before;
  const half = day.before / 2n;
  // To the nearest, away from zero at the half, as people round.
  return away >= 0n ? (away * 10_000n + half) / day.before : -((-away * 10_000n + half) / day.before);
}

/** A change in words: +1.25 %. */
export function changeText(basis: bigint | undefined): string {
  if (basis === undefined) return "–";
  const sign = basis > 0n ? "+" : basis < 0n ? "−" : "";
  return `${sign}${formatUnits(basis < 0n ? -basis : basis, 2)} %`;
}

/** The sign that goes with a change, so that colour is never alone. */
export const changeSign = (basis: bigint | undefined): string => (basis === undefined || basis === 0n ? "" : basis > 0n ? "▲" : "▼");

/** The markets whose name has all the words that were written, in the order of the list. */
export function searched<T extends { symbol: string }>(list: readonly T[], written: string): T[] {
  const words = written.toUpperCase().split(/[\s/,-]+/).filter((w) => w !== "");
  return list.filter((m) => words.every((w) => m.symbol.toUpperCase().includes(w)));
}
