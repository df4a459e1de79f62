/** Candles of one market and interval, kept from what a server answered and the trades since (H-120). */
import type { Schemas } from "souk-api";

export const intervals = ["1m", "5m", "15m", "1h", "4h", "1d", "1w"] as const;
export type Interval = (typeof intervals)[number];

const minute = 60_000;
const day = 24 * 60 * minute;
const lengths: Record<Interval, number> = {
  "1m": minute, "5m": 5 * minute, "15m": 15 * minute, "1h": 60 * minute, "4h": 240 * minute, "1d": day, "1w": 7 * day,
};
/** The first Monday since the epoch, which was a Thursday. */
const monday = 4 * day;

/** When the candle begins that a time belongs to, ms; days and weeks are those of UTC. */
export function startOf(time: number, interval: Interval): number {
  const length = lengths[interval];
  const from = interval === "1w" ? monday : 0;
  return Math.floor((time - from) / length) * length + from;
}

/** A candle as it is drawn. The numbers are a picture's: money is counted elsewhere. */
export interface Bar {
  start: number;
  open: number;
  high: number;
  low: number;
  close: number;
  volume: number;
}

/** How many bars are kept; older ones leave when new ones come. */
const most = 1500;

export class Candles {
  #bars: Bar[] = [];
  #height = -1;

  constructor(readonly interval: Interval) {}

  get bars(): readonly Bar[] {
    return this.#bars;
  }

  load(answer: Pick<Schemas["Candles"], "candles" | "height">): void {
    this.#bars = answer.candles.map((c) => ({
      start: c.start, open: Number(c.open), high: Number(c.high), low: Number(c.low), close: Number(c.close), volume: Number(c.volume),
    }));
    this.#height = answer.height;
  }

  /** Puts older ones before those that are there. */
  prepend(answer: Pick<Schemas["Candles"], "candles">): number {
    const older = new Candles(this.interval);
    older.load({ ...answer, height: 0 });
    const first = this.#bars[0]?.start ?? Infinity;
    const fresh = older.#bars.filter((b) => b.start < first);
    this.#bars = [...fresh, ...this.#bars];
    return fresh.length;
  }

  /**
   * Takes a block's trades; answers the bars that changed, oldest first. Blocks that the
   * answer had already counted are let go by.
   */
  take(height: number, trades: readonly Pick<Schemas["Trade"], "price" | "quantity" | "time">[]): Bar[] {
    if (height <= this.#height) return [];
    this.#height = height;
    const changed: Bar[] = [];
    for (const t of trades) {
      const price = Number(t.price);
      const made = this.pass(t.time);
      changed.push(...made);
      let bar = this.#bars[this.#bars.length - 1];
      const start = startOf(t.time, this.interval);
      if (!bar || bar.start < start) {
        bar = { start, open: price, high: price, low: price, close: price, volume: 0 };
        this.#push(bar);
      }
      // The first trade of its time opens it: until then it stood at the price before.
      if (bar.volume === 0) bar.open = bar.high = bar.low = price;
      bar.high = Math.max(bar.high, price);
      bar.low = Math.min(bar.low, price);
      bar.close = price;
      bar.volume += Number(t.quantity);
      if (changed[changed.length - 1] !== bar) changed.push(bar);
    }
    return changed;
  }

  /** Time goes on: times without trades get bars at the price before. Answers the new bars. */
  pass(now: number): Bar[] {
    const made: Bar[] = [];
    const until = startOf(now, this.interval);
    for (;;) {
      const last = this.#bars[this.#bars.length - 1];
      if (!last || last.start >= until || made.length >= most) return made;
      const start = startOf(last.start + lengths[this.interval], this.interval);
      const bar = { start, open: last.close, high: last.close, low: last.close, close: last.close, volume: 0 };
      this.#push(bar);
      made.push(bar);
    }
  }

  #push(bar: Bar): void {
    this.#bars.push(bar);
    if (this.#bars.length > most) this.#bars.splice(0, this.#bars.length - most);
  }
}
