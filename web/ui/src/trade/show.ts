/** Numbers and times as the trade view writes them: aligned, with as many decimals as the market's steps need. */
import { formatUnits } from "../souk/amount.ts";
import { shownDecimals, type Terms } from "./terms.ts";

/** Writes units with fewer decimals than they have, cut off: for rows in which all end at the same place. */
export function fixed(units: bigint, decimals: number, shown: number): string {
  return formatUnits(units / 10n ** BigInt(decimals - shown), shown, { group: true });
}

/** A price, with the decimals of the tick or of a wider step. */
export const price = (units: bigint, t: Terms, step = t.tick): string => fixed(units, t.quoteDecimals, shownDecimals(step, t.quoteDecimals));

/** A quantity, with the decimals of the lot. */
export const quantity = (units: bigint, t: Terms): string => fixed(units, t.baseDecimals, shownDecimals(t.lot, t.baseDecimals));

/** An exact amount without zeros at its end, and its symbol. */
export const inBase = (units: bigint, t: Terms): string => `${formatUnits(units, t.baseDecimals, { group: true, trim: true })} ${t.base}`;
export const inQuote = (units: bigint, t: Terms): string => `${formatUnits(units, t.quoteDecimals, { group: true, trim: true })} ${t.quote}`;

/** A volume in few digits: people compare sizes, they do not add them up. */
export function about(units: bigint, decimals: number): string {
  const whole = units / 10n ** BigInt(decimals);
  const shown = whole >= 1_000n ? 0 : whole >= 10n ? 2 : 4;
  return fixed(units, decimals, Math.min(shown, decimals));
}

const pad = (n: number): string => String(n).padStart(2, "0");

/** 12:34:56 of the reader's clock. */
export function clock(ms: number): string {
  const d = new Date(ms);
  return `${pad(d.getHours())}:${pad(d.getMinutes())}:${pad(d.getSeconds())}`;
}

/** 2026-11-22 12:34:56 of the reader's clock. */
export function moment(ms: number): string {
  const d = new Date(ms);
  return `${d.getFullYear()}-${pad(d.getMonth() + 1)}-${pad(d.getDate())} ${clock(ms)}`;
}

/** The same, as short as it is clear: of today the time alone. */
export function stamp(ms: number, now = Date.now()): string {
  const whole = moment(ms);
  return whole.slice(0, 10) === moment(now).slice(0, 10) ? clock(ms) : whole.slice(0, 4) === moment(now).slice(0, 4) ? whole.slice(5) : whole.slice(0, 16);
}

/** A rate of millionths in percent. */
export const percent = (ppm: bigint): string => formatUnits(ppm, 4, { trim: true });

/** What a field is filled with: plain digits, no groups. */
export const plain = (units: bigint, decimals: number): string => formatUnits(units, decimals, { trim: true });
