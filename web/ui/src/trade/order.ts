/** Reads a draft of the form: what is wrong with it, field by field, or the order that it is and what it costs. */
import type { Body } from "../souk/body.ts";
import { BadNumber, formatUnits, parseUnits } from "../souk/amount.ts";
import { text } from "../text.ts";
import type { Level } from "./book.ts";
import { crosses, estimate, holdOf, lotsFor, paidFor, worstPrice, type Estimate, type Size } from "./costs.ts";
import { beyond } from "./depth.ts";
import { atMarket, waits, type Draft } from "./shape.ts";
import { bandOf, better, ceilDiv, maxAmount, maxLots, maxPrice, type Side, type Terms } from "./terms.ts";

export type Field = "price" | "quantity" | "amount" | "trigger" | "stopPrice" | "expiry" | "client" | "stopClient";

/** What the order is checked against. */
export interface World {
  terms: Terms;
  bids: readonly Level[];
  asks: readonly Level[];
  /** What is available; absent: nobody is there who could pay. */
  available?: { base: bigint; quote: bigint };
  /** What a command costs, of the two assets (B-8). */
  fee?: { base: bigint; quote: bigint };
  /** Client order ids of the account's live orders. */
  clients?: ReadonlySet<string>;
  /** The account's resting orders in this market. */
  own?: readonly { side: Side; price: bigint }[];
  /** ms */
  now: number;
}

export interface Checked {
  problems: Partial<Record<Field, string>>;
  /** What is allowed and perhaps not meant. */
  warnings: string[];
  /** The worst price that is used where none is written. */
  chosen?: { price?: bigint; stopPrice?: bigint };
  estimate?: Estimate;
  /** Absent: there are problems, or something is not written yet. */
  body?: Body;
}

const t = text.trade.problem;

/** Collects the problems of one draft. The first one of a field stands. */
class Check {
  readonly problems: Partial<Record<Field, string>> = {};
  readonly warnings: string[] = [];
  /** Something is missing: no problem as long as nobody tries to send. */
  open = false;

  constructor(
    readonly draft: Draft,
    readonly world: World,
  ) {}

  problem(field: Field, message: string): void {
    this.problems[field] ??= message;
  }

  get ok(): boolean {
    return !this.open && Object.keys(this.problems).length === 0;
  }

  /** A number in a field; undefined if it is empty or wrong. */
  number(field: Field, written: string, decimals: number): bigint | undefined {
    if (written.trim() === "") {
      this.open = true;
      return undefined;
    }
    try {
      return parseUnits(written, decimals);
    } catch (error) {
      if (!(error instanceof BadNumber)) throw error;
      this.problem(field, error.message);
      return undefined;
    }
  }

  /** A price on a tick (M-8). */
  price(field: Field, written: string): bigint | undefined {
    const { terms } = this.world;
    const price = this.number(field, written, terms.quoteDecimals);
    if (price === undefined) return undefined;
    if (price === 0n || price > maxPrice) {
      this.problem(field, price === 0n ? t.zero : t.large);
      return undefined;
    }
    if (price % terms.tick !== 0n) {
      const low = price - (price % terms.tick);
      this.problem(field, t.tick(money(terms.tick, terms), low > 0n ? money(low, terms) : "", money(low + terms.tick, terms)));
      return undefined;
    }
    return price;
  }

  /** A price inside the band around a middle (M-8). */
  band(field: Field, price: bigint | undefined, middle: bigint): void {
    const { terms } = this.world;
    const band = bandOf(middle, terms.bandPpm);
    if (price === undefined || !band || (price >= band.low && price <= band.high)) return;
    const low = ceilDiv(band.low, terms.tick) * terms.tick;
    this.problem(field, t.band(money(low, terms), money((band.high / terms.tick) * terms.tick, terms), terms.quote));
  }
}

const money = (units: bigint, terms: Terms): string => formatUnits(units, terms.quoteDecimals, { group: true, trim: true });
const coins = (units: bigint, terms: Terms): string => formatUnits(units, terms.baseDecimals, { group: true, trim: true });

/** Checks a draft. */
export function check(draft: Draft, world: World): Checked {
  const c = new Check(draft, world);
  const { terms } = world;
  const levels = draft.side === "buy" ? world.asks : world.bids;
  const chosen: { price?: bigint; stopPrice?: bigint } = {};

  const triggered = waits(draft.kind) || draft.kind === "oco";
  const trigger = triggered ? c.price("trigger", draft.trigger) : 0n;
  const size = readSize(c);
  const price = readPrice(c, trigger, size, levels, chosen);
  const stopPrice = draft.kind === "oco" ? readStopPrice(c, trigger, chosen) : undefined;
  const expiry = readExpiry(c);
  readClients(c);

  const middle = waits(draft.kind) && trigger ? trigger : terms.reference;
  c.band("price", price, middle);
  if (draft.kind === "oco" && trigger) c.band("stopPrice", stopPrice, trigger);
  if (terms.paused) c.problem("price", t.paused(terms.symbol));

  const done: Checked = { problems: c.problems, warnings: c.warnings, chosen };
  if (size === undefined || price === undefined || trigger === undefined) return done;
  if (draft.kind === "oco" && stopPrice === undefined) return done;
  const worse = stopPrice !== undefined && draft.side === "buy" && stopPrice > price ? stopPrice : price;
  measure(c, price, size, middle);
  if (stopPrice !== undefined) measure(c, stopPrice, size, trigger);
  done.estimate = estimate(
    {
      side: draft.side, size, price, postOnly: draft.postOnly, waits: waits(draft.kind), whole: draft.tif === "fok",
      rests: !atMarket(draft.kind) && (draft.tif === "gtc" || draft.tif === "gtd"),
    },
    levels, terms,
  );
  if (worse !== price) done.estimate.hold = holdOf(draft.side, worse, size, terms);
  funds(c, done.estimate.hold);
  warn(c, price, trigger, size, levels, done.estimate);
  if (c.ok) done.body = bodyOf(draft, terms, { price, trigger, size, expiry, stopPrice: stopPrice ?? 0n });
  return done;
}

function readSize(c: Check): Size | undefined {
  const { draft, world } = c;
  const { terms } = world;
  if (draft.by === "amount") {
    const amount = c.number("amount", draft.amount, terms.quoteDecimals);
    if (amount === 0n) c.problem("amount", t.zero);
    if (amount !== undefined && amount > maxAmount) c.problem("amount", t.large);
    return amount ? { amount } : undefined;
  }
  const quantity = c.number("quantity", draft.quantity, terms.baseDecimals);
  if (quantity === undefined) return undefined;
  if (quantity === 0n) {
    c.problem("quantity", t.zero);
    return undefined;
  }
  if (quantity % terms.lot !== 0n) {
    const low = quantity - (quantity % terms.lot);
    c.problem("quantity", t.lot(coins(terms.lot, terms), low > 0n ? coins(low, terms) : "", coins(low + terms.lot, terms)));
    return undefined;
  }
  if (quantity / terms.lot > maxLots || quantity > maxAmount) {
    c.problem("quantity", t.large);
    return undefined;
  }
  return { quantity };
}

/** The limit, or the worst price, which the form chooses where none is written. */
function readPrice(
  c: Check, trigger: bigint | undefined, size: Size | undefined, levels: readonly Level[], chosen: { price?: bigint },
): bigint | undefined {
  const { draft, world } = c;
  if (!atMarket(draft.kind) || draft.price.trim() !== "") return c.price("price", draft.price);
  if (waits(draft.kind) && !trigger) return undefined;
  const { terms } = world;
  let quantity = 0n;
  if (size && "quantity" in size) quantity = size.quantity;
  // By amount, the best price tells about how much it is.
  else if (size) quantity = lotsFor(size.amount, levels[0]?.price ?? terms.reference, terms);
  chosen.price = worstPrice(draft.side, levels, quantity, trigger ?? 0n, terms);
  return chosen.price;
}

function readStopPrice(c: Check, trigger: bigint | undefined, chosen: { stopPrice?: bigint }): bigint | undefined {
  const { draft, world } = c;
  if (draft.stopLimit || draft.stopPrice.trim() !== "") return c.price("stopPrice", draft.stopPrice);
  if (!trigger) return undefined;
  chosen.stopPrice = worstPrice(draft.side, [], 0n, trigger, world.terms);
  return chosen.stopPrice;
}

function readExpiry(c: Check): bigint {
  if (c.draft.tif !== "gtd") return 0n;
  const at = Date.parse(c.draft.expiry);
  if (c.draft.expiry === "") c.open = true;
  else if (Number.isNaN(at)) c.problem("expiry", t.time);
  else if (at <= c.world.now) c.problem("expiry", t.past);
  return Number.isNaN(at) ? 0n : BigInt(Math.trunc(at));
}

function readClients(c: Check): void {
  const { draft, world } = c;
  for (const field of draft.kind === "oco" ? (["client", "stopClient"] as const) : (["client"] as const)) {
    const id = draft[field];
    if (id === "") continue;
    if (!/^[!-~]{1,36}$/.test(id)) c.problem(field, t.client);
    else if (world.clients?.has(id) || (field === "stopClient" && id === draft.client)) c.problem(field, t.clientTaken);
  }
}

/** Bounds of size and value (M-9, M-10, M-16). */
function measure(c: Check, price: bigint, size: Size, middle: bigint): void {
  const { draft, world } = c;
  const { terms } = world;
  if ("amount" in size) {
    if (size.amount < terms.minNotional) c.problem("amount", t.minimum(money(terms.minNotional, terms), terms.quote));
    if (draft.side === "buy") return;
    const base = lotsFor(size.amount, price, terms);
    if (base === 0n) c.problem("amount", t.noLot(coins(terms.lot, terms), terms.base));
    else if (base / terms.lot > maxLots || base > maxAmount) c.problem("amount", t.large);
    return;
  }
  if (paidFor(price * size.quantity, terms) > maxAmount) c.problem("quantity", t.large);
  const value = paidFor((atMarket(draft.kind) ? middle : price) * size.quantity, terms);
  if (value < terms.minNotional) c.problem("quantity", t.minimum(money(terms.minNotional, terms), terms.quote));
}

/** Whether there is enough for the hold and for the command's own fee. */
function funds(c: Check, hold: bigint): void {
  const { draft, world } = c;
  const { terms, available, fee } = world;
  if (!available) return;
  const asset = draft.side === "buy" ? "quote" : "base";
  if (hold + (fee?.[asset] ?? 0n) <= available[asset]) return;
  const show = (units: bigint) => (asset === "quote" ? money(units, terms) : coins(units, terms));
  c.problem(draft.by, t.funds(show(available[asset]), show(hold), asset === "quote" ? terms.quote : terms.base));
}

/** What the market would do that its user may not expect. */
function warn(c: Check, price: bigint, trigger: bigint, size: Size, levels: readonly Level[], e: Estimate): void {
  const { draft, world } = c;
  const { terms } = world;
  const w = text.trade.warning;
  const crossing = crosses(draft.side, price, levels);
  if (draft.postOnly && !waits(draft.kind) && crossing) c.warnings.push(w.postOnly);
  if (draft.tif === "fok" && e.now.quantity === 0n) c.warnings.push(w.fok);
  if (draft.kind === "market" && "quantity" in size && e.now.quantity < size.quantity && draft.tif !== "fok") c.warnings.push(w.thin(coins(e.now.quantity, terms), terms.base));
  if (draft.kind === "market" && "amount" in size && e.now.quantity === 0n) c.warnings.push(w.thin("0", terms.base));
  if (trigger > 0n && reached(draft, trigger, terms.reference)) c.warnings.push(w.reached);
  const best = levels[0];
  if (best && (draft.kind === "limit" || draft.kind === "oco") && crossing && far(price, best.price)) c.warnings.push(w.far);
  if (crossing && !waits(draft.kind) && !draft.postOnly && world.own?.some((o) => o.side !== draft.side && !beyond(draft.side, o.price, e.now.last ?? price))) {
    c.warnings.push(w.own);
  }
}

/** Whether the last price has reached the trigger already (M-60). */
function reached(draft: Draft, trigger: bigint, last: bigint): boolean {
  const rising = draft.kind.startsWith("take-profit") ? draft.side === "sell" : draft.side === "buy";
  return last === trigger || better(rising ? "buy" : "sell", last, trigger);
}

/** Five percent from the best price is more likely a slip of the finger. */
const far = (price: bigint, best: bigint): boolean => (price > best ? price - best : best - price) * 20n > best;

interface Parts {
  price: bigint;
  trigger: bigint;
  size: Size;
  expiry: bigint;
  stopPrice: bigint;
}

function bodyOf(draft: Draft, terms: Terms, p: Parts): Body {
  const quantity = "quantity" in p.size ? p.size.quantity : 0n;
  if (draft.kind === "oco") {
    return {
      kind: "place-oco", market: terms.id, side: draft.side, stopLimit: draft.stopLimit, quantity, limit: p.price,
      trigger: p.trigger, price: p.stopPrice, expiry: p.expiry, limitClient: draft.client, stopClient: draft.stopClient,
    };
  }
  return {
    kind: "place", market: terms.id, side: draft.side, order: draft.kind, tif: draft.tif, postOnly: draft.postOnly,
    price: p.price, quantity, quote: "amount" in p.size ? p.size.amount : 0n, trigger: p.trigger, expiry: p.expiry, client: draft.client,
  };
}
