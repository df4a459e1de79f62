/** What stands in the order form: kept over reloads, shared with the ladder, the charts and the keys. */
import { account } from "../state/account.svelte.ts";
import { market } from "../state/market.svelte.ts";
import { session } from "../state/session.svelte.ts";
import { check, type Checked, type World } from "./order.ts";
import { sized } from "./portion.ts";
import { keptPlace, readKept, type Kept } from "./kept.ts";
import { atMarket, emptyDraft, fitted, type Draft, type FormKind } from "./shape.ts";
import { plain } from "./show.ts";
import type { Side } from "./terms.ts";

class Form {
  draft = $state<Draft>({ ...emptyDraft });
  /** Somebody tried to send: what is missing is said as well. */
  tried = $state(false);
  /** Whom the keys B and S give the focus to. */
  focus = $state(0);
  #symbol = "";
  #begun = "";
  #kept: Kept | undefined;

  /** The draft looked at against the book, the balances and the clock. */
  checked = $derived.by((): Checked | undefined => {
    const world = this.world;
    return world && check(this.draft, world);
  });

  world = $derived.by((): World | undefined => {
    const terms = market.current;
    if (!terms) return undefined;
    const mine = session.phase === "open" && account.ready;
    const fee = market.commandFee;
    return {
      terms: { ...terms, reference: market.reference },
      bids: market.book.bids,
      asks: market.book.asks,
      ...(mine ? { available: { base: account.of(terms.baseId)?.available ?? 0n, quote: account.of(terms.quoteId)?.available ?? 0n } } : {}),
      fee: { base: fee?.symbol === terms.base ? fee.units : 0n, quote: fee?.symbol === terms.quote ? fee.units : 0n },
      clients: new Set(account.orders.map((o) => o.client).filter((c) => c !== "")),
      own: account.orders.filter((o) => o.market === terms.id && o.status === "resting"),
      now: Date.now(),
    };
  });

  /** Starts with what was used last in this market. */
  enter(symbol: string): void {
    if (this.#symbol === symbol) return;
    this.#symbol = symbol;
    this.#kept ??= readKept(localStorage.getItem(keptPlace));
    const { sizes, ...last } = this.#kept;
    this.draft = { ...emptyDraft, ...last, side: this.draft.side, ...(sizes[symbol] ?? {}) };
    this.tried = false;
  }

  /** Fills in the price that one would trade at now, once for each market, if nobody has written one. */
  begin(): void {
    const terms = market.current;
    if (this.#begun === this.#symbol || terms?.symbol !== this.#symbol) return;
    this.#begun = this.#symbol;
    if (this.draft.price === "" && this.draft.kind === "limit") this.set({ price: plain(this.best(), terms.quoteDecimals) });
  }

  /** Changes parts of the draft, and makes the others go with them. */
  set(some: Partial<Draft>): void {
    this.draft = fitted({ ...this.draft, ...some });
  }

  kind(kind: FormKind): void {
    if (kind === this.draft.kind) return;
    // A limit is not a worst price: what was written for the one does not mean the other.
    // Nor does how long the one is valid: an order at market ends in its block, a limit waits unless its user says otherwise.
    const tif = atMarket(this.draft.kind) ? "gtc" : this.draft.tif;
    this.set({ kind, tif, price: "", trigger: "", stopPrice: "" });
    this.tried = false;
  }

  /** Chooses the side and goes to the first field. */
  go(side: Side): void {
    this.set({ side });
    this.focus++;
  }

  /** Takes a price from ladder or chart: the trigger of kinds that wait for one, else the price. */
  price(units: bigint): void {
    const terms = market.current;
    if (!terms) return;
    const written = plain(units, terms.quoteDecimals);
    if (this.draft.kind === "stop" || this.draft.kind === "take-profit") this.set({ trigger: written });
    else this.set({ price: written });
  }

  /** Fills in a share of what is available. Answers whether there is a price to count with. */
  share(percent: bigint): boolean {
    const world = this.world;
    const terms = market.current;
    if (!world || !terms) return false;
    if (this.draft.price === "" && !atMarket(this.draft.kind)) this.set({ price: plain(this.best(), terms.quoteDecimals) });
    const units = sized(this.draft, world, percent);
    if (units === undefined) return false;
    if (this.draft.by === "amount") this.set({ amount: plain(units, terms.quoteDecimals) });
    else this.set({ quantity: plain(units, terms.baseDecimals) });
    return true;
  }

  /** The best price of who the draft would trade with, or the last one. */
  best(): bigint {
    return (this.draft.side === "buy" ? market.book.asks : market.book.bids)[0]?.price ?? market.reference;
  }

  /** Keeps what was used, after it was sent. */
  keep(): void {
    const { kind, tif, by, postOnly, stopLimit, quantity, amount } = this.draft;
    const sizes = { ...this.#kept?.sizes, [this.#symbol]: { quantity, amount } };
    this.#kept = { kind, tif, by, postOnly, stopLimit, sizes };
    localStorage.setItem(keptPlace, JSON.stringify(this.#kept));
    // No two live orders have one name (M-11).
    this.set({ client: "", stopClient: "" });
    this.tried = false;
  }

  clear(): void {
    const { side, kind, tif } = this.draft;
    this.draft = fitted({ ...emptyDraft, side, kind, tif });
    this.tried = false;
  }
}

export const form = new Form();
