/**
 * The markets, and the book, trades and last price of the one that is shown: read once, then
 * followed block by block. What it says is what servers say; what is signed is proven elsewhere.
 */
import type { Schemas } from "souk-api";
import { connection } from "../net/connection.ts";
import { parseUnits } from "../souk/amount.ts";
import { Book, snapshotDepth, type Level } from "../trade/book.ts";
import { Frames } from "../trade/frames.ts";
import { printed, readPrint, tapeLength, type Print } from "../trade/tape.ts";
import { readTerms, type Terms } from "../trade/terms.ts";
import { readDay, type Day } from "../trade/ticker.ts";

export interface Listed {
  terms: Terms;
  symbol: string;
  day: Day | undefined;
}

/** What is shown of the book after a block. */
export interface Shown {
  bids: readonly Level[];
  asks: readonly Level[];
  height: number;
}

/** A price that somebody took out of the ladder or the chart, for the form. */
export interface Picked {
  price: bigint;
  /** Counts up, so that the same price again is news too. */
  turn: number;
}

/** A block's trades in the market that is shown, for charts that keep their own sums. */
export type Follower = (height: number, trades: readonly Schemas["Trade"][], time: number | undefined) => void;

/** none: nothing is chosen. reading: the book is read. live: it is followed. lost: it will be read again. */
export type MarketPhase = "none" | "reading" | "live" | "lost";

const empty: Shown = { bids: [], asks: [], height: 0 };
/** How often the list's prices are read, and markets themselves, ms. */
const every = { tickers: 10_000, markets: 60_000 };
/** How long to wait after a fault, ms: doubled up to the second. */
const pauses = { first: 250, most: 4_000 };

class MarketState {
  /** All markets, as the exchange numbers them. */
  list = $state.raw<readonly Listed[]>([]);
  /** The list was read at least once. */
  listed = $state(false);
  current = $state.raw<Terms | undefined>(undefined);
  phase = $state<MarketPhase>("none");
  book = $state.raw<Shown>(empty);
  tape = $state.raw<readonly Print[]>([]);
  /** What every command costs (B-8); undefined: nothing, or not known yet. */
  commandFee = $state.raw<{ symbol: string; units: bigint } | undefined>(undefined);
  /** The last price, before the first trade that of the terms (M-8). */
  reference = $state.raw(0n);
  /** The last 24 hours, its last price kept up with the trades. */
  ticker = $derived.by((): Day | undefined => {
    const day = this.list.find((m) => m.symbol === this.current?.symbol)?.day;
    const last = this.tape[0];
    if (!day || !last) return day;
    const { price } = last;
    const high = day.high === undefined || price > day.high ? price : day.high;
    const low = day.low === undefined || price < day.low ? price : day.low;
    return { ...day, last: price, high, low };
  });
  /** The block that the book is of. */
  height = $derived(this.book.height);
  /** Counts how often something was missed and all was read anew: who keeps sums of trades does so too. */
  gaps = $state(0);
  picked = $state.raw<Picked | undefined>(undefined);

  #book: Book | undefined;
  #tape: readonly Print[] = [];
  #frames = new Frames(() => this.#draw());
  #cut: AbortController | undefined;
  #followers = new Set<Follower>();

  /** Reads the list, and keeps its prices up. Answers what ends that, and the following of the market. */
  start(): () => void {
    let over = false;
    let markets = 0;
    const look = async () => {
      if (over) return;
      try {
        if (Date.now() - markets > every.markets) {
          await this.#readList();
          await this.#readFee();
          markets = Date.now();
        }
        await this.#readDays();
      } catch {
        // Nobody answers now; the next look will.
      }
      if (!over) timer = setTimeout(() => void look(), this.listed ? every.tickers : pauses.first * 4);
    };
    let timer = setTimeout(() => void look(), 0);
    return () => {
      over = true;
      clearTimeout(timer);
      this.leave();
    };
  }

  /** Shows a market. Answers whether there is one of that name. */
  select(symbol: string): boolean {
    const found = this.list.find((m) => m.symbol === symbol);
    if (!found) return false;
    if (this.current?.symbol === symbol) return true;
    this.leave();
    this.current = found.terms;
    this.reference = found.day?.last ?? found.terms.reference;
    this.phase = "reading";
    const cut = new AbortController();
    this.#cut = cut;
    void this.#follow(found.terms, cut.signal);
    return true;
  }

  /** Stops following. */
  leave(): void {
    this.#cut?.abort();
    this.#cut = undefined;
    this.#frames.stop();
    this.#book = undefined;
    this.#tape = [];
    this.tape = [];
    this.book = empty;
    this.current = undefined;
    this.picked = undefined;
    this.phase = "none";
  }

  /** Puts a price into the form. */
  fillPrice(price: bigint): void {
    this.picked = { price, turn: (this.picked?.turn ?? 0) + 1 };
  }

  /** Tells of each block's trades from now on. Answers what ends that. */
  follow(follower: Follower): () => void {
    this.#followers.add(follower);
    return () => this.#followers.delete(follower);
  }

  async #readList(): Promise<void> {
    const { data } = await connection.api.GET("/v1/markets");
    if (!data) return;
    const days = new Map(this.list.map((m) => [m.symbol, m.day]));
    const list: Listed[] = [];
    for (const m of data.markets) {
      try {
        list.push({ terms: readTerms(m), symbol: m.symbol, day: days.get(m.symbol) });
      } catch {
        // A market that makes no sense is not shown.
      }
    }
    this.list = list;
    this.listed = true;
    // Fees, the band and a pause are up to the members; numbers and steps never change.
    const now = list.find((m) => m.terms.id === this.current?.id)?.terms;
    if (now && this.current && differs(now, this.current)) this.current = now;
  }

  async #readFee(): Promise<void> {
    const { data } = await connection.api.GET("/v1/params");
    // The text has exactly the asset's decimals (H-30).
    const units = parseUnits((data?.fee ?? "0").replace(".", ""), 0);
    this.commandFee = data?.fee_asset && units > 0n ? { symbol: data.fee_asset, units } : undefined;
  }

  async #readDays(): Promise<void> {
    const { data } = await connection.api.GET("/v1/ticker");
    if (!data) return;
    const days = new Map(data.tickers.map((t) => [t.symbol, t]));
    this.list = this.list.map((m) => {
      const day = days.get(m.symbol);
      try {
        return day ? { ...m, day: readDay(day, m.terms) } : m;
      } catch {
        return m;
      }
    });
  }

  /** Keeps the book until it is cut off. Whatever goes wrong, it is read anew. */
  async #follow(terms: Terms, signal: AbortSignal): Promise<void> {
    for (let pause = 0, turn = 0; !signal.aborted; ) {
      if (pause > 0) await sleep(pause, signal);
      if (signal.aborted) return;
      try {
        await this.#read(terms, signal);
        this.phase = "live";
        pause = 0;
        if (turn++ > 0) this.gaps++;
        await this.#listen(terms, signal);
      } catch {
        // The stream was cut, something was missed, or an answer made no sense.
      }
      if (signal.aborted) return;
      if (this.phase === "live" && pause === 0) pause = 1;
      else pause = Math.min(pauses.most, Math.max(pauses.first, pause * 2));
      this.phase = this.#book && this.#book.height >= 0 ? "lost" : "reading";
    }
  }

  /** Reads book and trades. */
  async #read(terms: Terms, signal: AbortSignal): Promise<void> {
    const path = { market: terms.symbol };
    const [book, trades] = await Promise.all([
      connection.api.GET("/v1/book/{market}", { params: { path, query: { depth: snapshotDepth } }, signal }),
      connection.api.GET("/v1/trades", { params: { query: { market: terms.symbol, limit: tapeLength } }, signal }),
    ]);
    if (!book.data || !trades.data || signal.aborted) throw new Error("the book cannot be read");
    const fresh = new Book(terms);
    fresh.load(book.data);
    this.#tape = printed([], trades.data.trades.map((t) => readPrint(t, terms)).reverse());
    this.#book = fresh;
    // The first book is shown at once.
    this.#draw();
  }

  /** Follows the blocks behind the book's height. Comes back when the book is to be read anew. */
  async #listen(terms: Terms, signal: AbortSignal): Promise<void> {
    const book = this.#book;
    if (!book) return;
    // What was read last ends its stream, however this one comes to its end.
    const cut = new AbortController();
    const after = String(book.height);
    try {
      for await (const message of connection.events({ markets: [String(terms.id)], after, signal: AbortSignal.any([signal, cut.signal]) })) {
        const change = message.markets?.find((m) => m.market === terms.id);
        if (!change) continue;
        if (book.apply(message.height, change) === "broken") return;
        this.#print(change.trades ?? [], message, terms);
        this.#frames.ask();
        if (book.scarce) return;
      }
    } finally {
      cut.abort();
    }
  }

  #print(trades: readonly Schemas["Trade"][], message: Schemas["BlockEvents"], terms: Terms): void {
    if (trades.length > 0) this.#tape = printed(this.#tape, trades.map((t) => readPrint(t, terms)));
    for (const follower of this.#followers) follower(message.height, trades, message.time);
  }

  #draw(): void {
    if (!this.#book) return;
    this.book = { bids: this.#book.bids.slice(), asks: this.#book.asks.slice(), height: this.#book.height };
    this.tape = this.#tape;
    const last = this.#tape[0];
    if (last && last.price !== this.reference) this.reference = last.price;
  }
}

/** Whether something of a market was changed by its members. */
function differs(a: Terms, b: Terms): boolean {
  return a.makerPpm !== b.makerPpm || a.takerPpm !== b.takerPpm || a.bandPpm !== b.bandPpm || a.minNotional !== b.minNotional || a.paused !== b.paused;
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}

export const market = new MarketState();
