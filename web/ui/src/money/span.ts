/** Lengths of time and moments, in words. */
import { text } from "../text.ts";

const units = [
  { ms: 86_400_000, of: text.money.span.days },
  { ms: 3_600_000, of: text.money.span.hours },
  { ms: 60_000, of: text.money.span.minutes },
  { ms: 1000, of: text.money.span.seconds },
];

/** A length of time in its two largest units: "1 day 6 hours". */
export function span(ms: number): string {
  if (!(ms > 0)) return text.money.span.none;
  let rest = Math.max(1, Math.round(ms / 1000)) * 1000;
  const parts: string[] = [];
  for (const u of units) {
    const n = Math.floor(rest / u.ms);
    rest -= n * u.ms;
    if (n > 0) parts.push(u.of(n));
    if (parts.length === 2 || (parts.length === 1 && n === 0)) break;
  }
  return parts.join(" ");
}

const moment = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });

/** A moment as people read it; nothing for one that there is not. */
export function when(ms: number | undefined): string {
  return ms === undefined || !(Math.abs(ms) < 8.64e15) ? "" : moment.format(ms);
}
