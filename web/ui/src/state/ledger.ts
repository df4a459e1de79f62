/** What blocks do to what is known of an account. Pure, so that it can be tested without a page. */
import type { Schemas } from "souk-api";
import { costOf } from "../souk/amount.ts";
import { readAmount, readBalance, readFill, readList, readOrder, readText, type Balance, type Fill, type Order, type Payment } from "../money/read.ts";

export interface Known {
  balances: Balance[];
  orders: Order[];
  fills: Fill[];
  payments: Payment[];
  /** Heights of what was read: what a block up to there did is in it already. */
  at: { balances: number; orders: number; fills: number };
}

/** What a block did besides, that must be read or said. */
export interface News {
  fills: Fill[];
  payments: Payment[];
  closed: { order: Order; reason: string | undefined }[];
  deposited: { symbol: string; amount: ReturnType<typeof readAmount> }[];
  /** Lists that are to be read again. */
  deposits: boolean;
  withdrawals: boolean;
  settings: boolean;
  keys: boolean;
  escrows: boolean;
}

const depositEvents = new Set(["address", "deposited"]);
const withdrawalEvents = new Set(["withdrawal_asked", "withdrawal_cancelled", "withdrawal_sent", "withdrawal_back", "withdrawn"]);

/** How many fills and payments are kept in the page: older ones are read when somebody wants them. */
const most = 2_000;

/** Applies what a block did to an account. Throws Nonsense, and then nothing of it has been applied. */
export function applyBlock(known: Known, message: Schemas["BlockEvents"]): { known: Known; news: News } {
  const told = message.account;
  const news: News = { fills: [], payments: [], closed: [], deposited: [], deposits: false, withdrawals: false, settings: false, keys: false, escrows: false };
  if (!told) return { known, news };
  const height = message.height;
  const next: Known = { ...known, at: { ...known.at } };
  if (height > known.at.balances) next.balances = changed(known.balances, readList(told.balances ?? [], "balance", readBalance));
  const orders = new Map(known.orders.map((o) => [o.id, o]));
  for (const event of readList(told.events, "event", (e: Schemas["AccountEvent"]) => e)) {
    if (event.order && height > known.at.orders) placeOrder(orders, news, event);
    if (event.kind === "fill" && event.fill) {
      const fill = readFill(event.fill);
      if (height > known.at.fills) news.fills.push(fill);
      if (height > known.at.orders) fillOrder(orders, fill);
    }
    if ((event.kind === "paid" || event.kind === "received") && height > known.at.balances) news.payments.push(payment(event, message));
    if (event.kind === "deposited" && height > known.at.balances) {
      news.deposited.push({ symbol: readText(event.asset ?? "", "event", 16), amount: readAmount(event.amount, "event") });
    }
    news.deposits ||= depositEvents.has(event.kind);
    news.withdrawals ||= withdrawalEvents.has(event.kind);
    news.settings ||= event.kind === "withdrawals_set";
    news.escrows ||= readText(event.kind, "event").startsWith("escrow_");
    news.keys ||= event.kind === "keys_changed" || event.kind === "rotated";
  }
  // No event says that an order rests: what is left of the batch when its block is over does.
  if (height > known.at.orders) for (const o of orders.values()) if (o.status === "staged") orders.set(o.id, { ...o, status: "resting" });
  next.orders = [...orders.values()].sort((a, b) => a.id - b.id);
  // A fill that both sides of the account had is two fills; the same one told twice is one.
  const had = new Set(known.fills.map(keyOf));
  news.fills = news.fills.filter((f) => !had.has(keyOf(f)));
  next.fills = [...[...news.fills].reverse(), ...known.fills].slice(0, most);
  next.payments = [...[...news.payments].reverse(), ...known.payments].slice(0, most);
  return { known: next, news };
}

export const keyOf = (f: Fill): string => `${f.trade}/${f.order}`;

/** Fills of a further page, behind those that are known. */
export function olderFills(known: Fill[], page: Fill[]): Fill[] {
  const had = new Set(known.map(keyOf));
  return [...known, ...page.filter((f) => !had.has(keyOf(f)))];
}

function changed(balances: Balance[], now: Balance[]): Balance[] {
  const all = new Map(balances.map((b) => [b.asset, b]));
  for (const b of now) {
    if (b.total === 0n) all.delete(b.asset);
    else all.set(b.asset, b);
  }
  return [...all.values()].sort((a, b) => a.asset - b.asset);
}

function placeOrder(orders: Map<number, Order>, news: News, event: Schemas["AccountEvent"]): void {
  const order = readOrder(event.order as Schemas["Order"]);
  if (event.kind === "order_closed" || order.status === "gone") {
    if (orders.delete(order.id) || event.kind === "order_closed") news.closed.push({ order, reason: event.reason });
    return;
  }
  orders.set(order.id, order);
}

/** A fill of a live order, as M-14, M-15 and M-34 have it. */
function fillOrder(orders: Map<number, Order>, fill: Fill): void {
  const o = orders.get(fill.order);
  if (!o || o.market !== fill.market) return;
  const filled = o.filled + fill.quantity;
  const rest = (o.quantity ?? filled) - filled;
  // Of a buy the fractions of a unit that were paid are not told: this is exact, or one unit too many.
  const hold = o.quantity === undefined ? o.hold : o.side === "sell" ? rest : costOf(o.price, rest, o.baseDecimals, "up");
  orders.set(o.id, { ...o, filled, value: o.value + fill.value, fee: o.fee + fill.fee, hold });
}

function payment(event: Schemas["AccountEvent"], message: Schemas["BlockEvents"]): Payment {
  return {
    kind: event.kind === "paid" ? "paid" : "received", symbol: readText(event.asset ?? "", "event", 16), amount: readAmount(event.amount, "event"),
    other: readText(event.other ?? "", "event"), memo: readText(event.memo ?? "", "event"), height: message.height, time: message.time ?? 0,
  };
}
