/**
 * What servers say of an account, read with suspicion: numbers become bigints, unknown words and
 * whatever is not of its form make the answer nonsense. Texts stay texts, cut to what is sensible;
 * they are only ever shown as text.
 */
import type { Schemas } from "souk-api";
import { text } from "../text.ts";

/** A server's answer is not of the form that it must have. */
export class Nonsense extends Error {
  override readonly name = "Nonsense";
  constructor(what: string) {
    super(text.money.nonsense(what));
  }
}

/** Ledger units, and the decimals with which they were written. */
export interface Amount {
  units: bigint;
  decimals: number;
}

const amountForm = /^(\d{1,20})(?:\.(\d{1,18}))?$/;

/** Reads an amount as the API writes it: with exactly the decimals of its asset. */
export function readAmount(value: unknown, what: string): Amount {
  const parts = typeof value === "string" ? amountForm.exec(value) : null;
  if (!parts) throw new Nonsense(what);
  const fraction = parts[2] ?? "";
  return { units: BigInt((parts[1] ?? "") + fraction), decimals: fraction.length };
}

const units = (value: unknown, what: string): bigint => readAmount(value, what).units;

/** A whole number from 0 on that is one. */
export function readCount(value: unknown, what: string): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) throw new Nonsense(what);
  return value;
}

const maybe = <T>(value: unknown, read: (v: unknown) => T): T | undefined => (value === undefined || value === null ? undefined : read(value));

/** A text of a sensible length. What is longer is cut: it is for people. */
export function readText(value: unknown, what: string, most = 128): string {
  if (typeof value !== "string") throw new Nonsense(what);
  return value.length > most ? value.slice(0, most - 1) + "…" : value;
}

function one<const T extends readonly string[]>(value: unknown, of: T, what: string): T[number] {
  const found = of.find((x) => x === value);
  if (found === undefined) throw new Nonsense(what);
  return found;
}

/** The list in an answer. */
export function readList<T>(value: unknown, what: string, read: (v: never) => T): T[] {
  if (!Array.isArray(value) || value.length > 10_000) throw new Nonsense(what);
  return value.map((v) => {
    if (typeof v !== "object" || v === null) throw new Nonsense(what);
    return read(v as never);
  });
}

export interface Balance {
  asset: number;
  symbol: string;
  decimals: number;
  available: bigint;
  /** Set aside for live orders. */
  orders: bigint;
  /** Set aside for withdrawals, the bounds of their fees included. */
  withdrawing: bigint;
  total: bigint;
}

export function readBalance(v: Schemas["Balance"]): Balance {
  const available = readAmount(v.available, "balance");
  const held = units(v.held, "balance");
  const withdrawing = maybe(v.withdrawing, (x) => units(x, "balance")) ?? 0n;
  if (withdrawing > held) throw new Nonsense("balance");
  return {
    asset: readCount(v.asset, "balance"), symbol: readText(v.symbol, "balance", 16), decimals: available.decimals, available: available.units,
    orders: held - withdrawing, withdrawing, total: available.units + held,
  };
}

/** A live order, or one that has just ended. */
export interface Order {
  id: number;
  market: number;
  symbol: string;
  side: "buy" | "sell";
  kind: Schemas["Order"]["kind"];
  tif: Schemas["Order"]["tif"];
  status: Schemas["Order"]["status"];
  postOnly: boolean;
  price: bigint;
  /** Whole quantity, the filled part included; absent for orders by quote amount. */
  quantity: bigint | undefined;
  quote: bigint | undefined;
  trigger: bigint | undefined;
  filled: bigint;
  value: bigint;
  fee: bigint;
  hold: bigint;
  client: string;
  sibling: number | undefined;
  placed: number;
  time: number;
  expiry: number | undefined;
  baseDecimals: number;
  quoteDecimals: number;
}

const kinds = ["limit", "market", "stop", "stop-limit", "take-profit", "take-profit-limit"] as const;

export function readOrder(v: Schemas["Order"]): Order {
  const [price, filled] = [readAmount(v.price, "order"), readAmount(v.filled, "order")];
  return {
    id: readCount(v.id, "order"), market: readCount(v.market, "order"), symbol: readText(v.symbol, "order", 24),
    side: one(v.side, ["buy", "sell"], "order"), kind: one(v.kind, kinds, "order"), tif: one(v.tif, ["gtc", "gtd", "ioc", "fok"], "order"),
    status: one(v.status, ["gone", "staged", "resting", "waiting"], "order"), postOnly: v.post_only === true,
    price: price.units, quantity: maybe(v.quantity, (x) => units(x, "order")), quote: maybe(v.quote, (x) => units(x, "order")),
    trigger: maybe(v.trigger, (x) => units(x, "order")), filled: filled.units, value: units(v.value, "order"), fee: units(v.fee, "order"), hold: units(v.hold, "order"),
    client: maybe(v.client, (x) => readText(x, "order", 36)) ?? "", sibling: maybe(v.sibling, (x) => readCount(x, "order")),
    placed: readCount(v.placed, "order"), time: readCount(v.time, "order"), expiry: maybe(v.expiry, (x) => readCount(x, "order")),
    baseDecimals: filled.decimals, quoteDecimals: price.decimals,
  };
}

export interface Fill {
  trade: number;
  order: number;
  market: number;
  symbol: string;
  side: "buy" | "sell";
  role: "maker" | "taker";
  price: bigint;
  quantity: bigint;
  value: bigint;
  fee: bigint;
  height: number;
  time: number;
  baseDecimals: number;
  quoteDecimals: number;
}

export function readFill(v: Schemas["Fill"]): Fill {
  const [price, quantity] = [readAmount(v.price, "fill"), readAmount(v.quantity, "fill")];
  return {
    trade: readCount(v.trade, "fill"), order: readCount(v.order, "fill"), market: readCount(v.market, "fill"), symbol: readText(v.symbol, "fill", 24),
    side: one(v.side, ["buy", "sell"], "fill"), role: one(v.role, ["maker", "taker"], "fill"), price: price.units, quantity: quantity.units,
    value: units(v.value, "fill"), fee: units(v.fee, "fill"), height: readCount(v.height, "fill"), time: readCount(v.time, "fill"),
    baseDecimals: quantity.decimals, quoteDecimals: price.decimals,
  };
}

export interface Deposit {
  symbol: string;
  network: string;
  address: string;
  amount: bigint;
  decimals: number;
  tx: string;
  output: number;
  state: "seen" | "deep" | "credited";
  members: number | undefined;
  needed: number | undefined;
  depth: number;
  required: number | undefined;
  height: number | undefined;
  index: number;
  series: number;
}

export function readDeposit(v: Schemas["Deposit"]): Deposit {
  const amount = readAmount(v.amount, "deposit");
  const n = (x: unknown) => maybe(x, (y) => readCount(y, "deposit"));
  return {
    symbol: readText(v.symbol, "deposit", 16), network: readText(v.network, "deposit", 32), address: readText(v.address, "deposit"), amount: amount.units,
    decimals: amount.decimals, tx: readText(v.tx, "deposit", 64), output: readCount(v.output, "deposit"), state: one(v.state, ["seen", "deep", "credited"], "deposit"),
    members: n(v.members), needed: n(v.needed), depth: readCount(v.depth, "deposit"), required: n(v.required), height: n(v.height),
    index: readCount(v.index, "deposit"), series: readCount(v.series, "deposit"),
  };
}

const withdrawalStates = ["delayed", "waiting", "signing", "signed", "mined", "paid", "cancelled"] as const;
const reasons = ["turn", "hour", "fee", "rate", "halt", "delay", "block"] as const;

export interface Withdrawal {
  id: number;
  symbol: string;
  network: string;
  address: string;
  amount: bigint;
  maxFee: bigint | undefined;
  fee: bigint | undefined;
  decimals: number;
  state: (typeof withdrawalStates)[number];
  reason: (typeof reasons)[number] | undefined;
  asked: number | undefined;
  from: number | undefined;
  time: number | undefined;
  signed: number | undefined;
  needed: number | undefined;
  depth: number | undefined;
  required: number | undefined;
  tx: string | undefined;
  output: number | undefined;
}

export function readWithdrawal(v: Schemas["Withdrawal"]): Withdrawal {
  const amount = readAmount(v.amount, "withdrawal");
  const n = (x: unknown) => maybe(x, (y) => readCount(y, "withdrawal"));
  const a = (x: unknown) => maybe(x, (y) => units(y, "withdrawal"));
  return {
    id: readCount(v.id, "withdrawal"), symbol: readText(v.symbol, "withdrawal", 16), network: readText(v.network, "withdrawal", 32),
    address: readText(v.address, "withdrawal"), amount: amount.units, maxFee: a(v.max_fee), fee: a(v.fee), decimals: amount.decimals,
    state: one(v.state, withdrawalStates, "withdrawal"), reason: maybe(v.reason, (x) => one(x, reasons, "withdrawal")),
    asked: n(v.asked), from: n(v.from), time: n(v.time), signed: n(v.signed), needed: n(v.needed), depth: n(v.depth), required: n(v.required),
    tx: maybe(v.tx, (x) => readText(x, "withdrawal", 64)), output: n(v.output),
  };
}

/** Whether a withdrawal goes on, and its state changes without a word. */
export function underWay(w: Withdrawal): boolean {
  return w.state !== "paid" && w.state !== "cancelled";
}

/** A payment within the exchange, as the account's events tell it. */
export interface Payment {
  kind: "paid" | "received";
  symbol: string;
  amount: Amount;
  other: string;
  memo: string;
  height: number;
  time: number;
}
