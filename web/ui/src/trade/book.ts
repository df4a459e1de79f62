/**
 * The book of one market, kept from a snapshot and the changes of blocks (H-116). It knows
 * nothing of the page: who shows it takes `top` as often as he likes.
 */
import type { Schemas } from "souk-api";
import { parseUnits } from "../souk/amount.ts";
import type { Side } from "./terms.ts";
import { better } from "./terms.ts";

/** What rests at one price. */
export interface Level {
  readonly price: bigint;
  readonly quantity: bigint;
}

/** How many levels of a side are read, which is the most that a server gives. */
export const snapshotDepth = 1000;

/** With fewer levels than this left before unknown ones, the book is read anew. */
const scarce = 100;

/** The decimals in which a book's texts are written. */
interface Units {
  baseDecimals: number;
  quoteDecimals: number;
}

/** What became of a message: old is of a block that the book has, broken asks for a new snapshot. */
export type Applied = "old" | "applied" | "broken";

/** One side, best price first. */
class Half {
  #levels: Level[] = [];
  /** The last price of a snapshot that was cut off: what is worse is not known. */
  #horizon: bigint | undefined;

  constructor(readonly side: Side) {}

  get levels(): readonly Level[] {
    return this.#levels;
  }

  /** Whether prices that somebody may want to see are not known. */
  get scarce(): boolean {
    return this.#horizon !== undefined && this.#levels.length < scarce;
  }

  load(levels: Level[], whole: boolean): void {
    for (let i = 1; i < levels.length; i++) {
      const before = levels[i - 1] as Level;
      if (!better(this.side, before.price, (levels[i] as Level).price)) throw new RangeError("levels out of order");
    }
    this.#levels = levels;
    this.#horizon = whole ? undefined : levels[levels.length - 1]?.price;
  }

  set(price: bigint, quantity: bigint): void {
    if (this.#horizon !== undefined && better(this.side, this.#horizon, price)) return;
    let low = 0;
    for (let high = this.#levels.length; low < high; ) {
      const middle = (low + high) >> 1;
      if (better(this.side, (this.#levels[middle] as Level).price, price)) low = middle + 1;
      else high = middle;
    }
    const found = this.#levels[low]?.price === price;
    if (quantity > 0n) this.#levels.splice(low, found ? 1 : 0, { price, quantity });
    else if (found) this.#levels.splice(low, 1);
  }
}

/** The book of a market after a block. */
export class Book {
  #height = -1;
  readonly #bids = new Half("buy");
  readonly #asks = new Half("sell");
  readonly #units: Units;

  constructor(units: Units) {
    this.#units = units;
  }

  /** The block after which the book stood so; -1 before the first snapshot. */
  get height(): number {
    return this.#height;
  }

  get bids(): readonly Level[] {
    return this.#bids.levels;
  }

  get asks(): readonly Level[] {
    return this.#asks.levels;
  }

  /** Whether the book should be read again before the levels that it knows run out. */
  get scarce(): boolean {
    return this.#bids.scarce || this.#asks.scarce;
  }

  /** Takes a snapshot in place of all that was known. Throws if it is not one. */
  load(snapshot: Pick<Schemas["Book"], "bids" | "asks" | "height">, depth = snapshotDepth): void {
    const bids = snapshot.bids.map((l) => this.#level(l));
    const asks = snapshot.asks.map((l) => this.#level(l));
    this.#bids.load(bids, bids.length < depth);
    this.#asks.load(asks, asks.length < depth);
    if (this.#crossed()) throw new RangeError("the best buy is not below the best sell");
    this.#height = snapshot.height;
  }

  /** Takes what a block changed. Blocks come in order; those before the snapshot are let go by. */
  apply(height: number, change: Pick<Schemas["MarketEvents"], "bids" | "asks">): Applied {
    if (this.#height < 0) return "broken";
    if (height <= this.#height) return "old";
    try {
      for (const l of change.bids ?? []) this.#set(this.#bids, l);
      for (const l of change.asks ?? []) this.#set(this.#asks, l);
    } catch {
      return "broken";
    }
    this.#height = height;
    // After an auction the best buy is below the best sell (M-59): else something was missed.
    return this.#crossed() ? "broken" : "applied";
  }

  #set(half: Half, change: Schemas["LevelChange"]): void {
    const { price, quantity } = this.#level(change);
    half.set(price, quantity);
  }

  #level(l: { price: string; quantity: string }): Level {
    return {
      price: parseUnits(l.price, this.#units.quoteDecimals),
      quantity: parseUnits(l.quantity, this.#units.baseDecimals),
    };
  }

  #crossed(): boolean {
    const bid = this.bids[0];
    const ask = this.asks[0];
    return bid !== undefined && ask !== undefined && bid.price >= ask.price;
  }
}
