/** Files of an account's history: all that servers keep, page after page, in columns that programs can add up. */
import { formatUnits } from "../souk/amount.ts";
import { session } from "../state/session.svelte.ts";
import { text } from "../text.ts";
import { csv, stamp, type Cell } from "./csv.ts";
import { readDeposit, readFill, readList, readWithdrawal, type Deposit, type Fill, type Payment, type Withdrawal } from "./read.ts";

/** More rows than so many are not read into a page. */
const most = 200_000;

export type Kind = "fills" | "deposits" | "withdrawals" | "payments";

const heads: Record<Kind, readonly string[]> = {
  fills: ["time", "market", "side", "role", "price", "quantity", "value", "fee", "fee_asset", "order", "trade", "block"],
  deposits: ["asset", "amount", "state", "blocks", "blocks_needed", "chain_block", "address", "transaction", "output", "network"],
  withdrawals: ["number", "asked", "asset", "amount", "fee", "fee_bound", "state", "address", "transaction", "output", "ended", "network"],
  payments: ["time", "direction", "asset", "amount", "other_account", "message", "block"],
};

export function fillRow(f: Fill): Cell[] {
  const [base = "", quote = ""] = f.symbol.split("-");
  // A fee is taken from what the side receives.
  const [feeAsset, feeDecimals] = f.side === "buy" ? [base, f.baseDecimals] : [quote, f.quoteDecimals];
  return [
    stamp(f.time), f.symbol, f.side, f.role, formatUnits(f.price, f.quoteDecimals), formatUnits(f.quantity, f.baseDecimals), formatUnits(f.value, f.quoteDecimals),
    formatUnits(f.fee, feeDecimals), feeAsset, f.order, f.trade, f.height,
  ];
}

export function depositRow(d: Deposit): Cell[] {
  return [d.symbol, formatUnits(d.amount, d.decimals), d.state, d.depth, d.required ?? "", d.height ?? "", d.address, d.tx, d.output, d.network];
}

export function withdrawalRow(w: Withdrawal): Cell[] {
  const amount = (v: bigint | undefined) => (v === undefined ? "" : formatUnits(v, w.decimals));
  return [
    w.id, stamp(w.asked), w.symbol, amount(w.amount), amount(w.fee), amount(w.maxFee), w.state, w.address, w.tx ?? "", w.tx === undefined ? "" : (w.output ?? ""), stamp(w.time), w.network,
  ];
}

export function paymentRow(p: Payment): Cell[] {
  return [stamp(p.time), p.kind, p.symbol, formatUnits(p.amount.units, p.amount.decimals), p.other, p.memo, p.height];
}

/** The file of a kind of rows. */
export function table(kind: Kind, rows: readonly (readonly Cell[])[]): string {
  return csv(heads[kind], rows);
}

type Page<T> = { rows: T[]; next: string };

/** Reads page after page; told hears how many rows there are by now. */
async function everything<T>(read: (before: string) => Promise<Page<T>>, told: (rows: number) => void): Promise<T[]> {
  const all: T[] = [];
  let before = "";
  do {
    const page = await read(before);
    all.push(...page.rows);
    told(all.length);
    if (page.next === before) break; // a server that leads in circles
    before = page.next;
  } while (before !== "" && all.length < most);
  return all;
}

/** The whole history of a kind as a file. Payments are those that this page has seen. */
export async function historyFile(kind: Kind, payments: readonly Payment[], told: (rows: number) => void): Promise<string> {
  const path = { address: session.address };
  switch (kind) {
    case "fills":
      return table(kind, (await everything(fillPage, told)).map(fillRow));
    case "deposits":
      return table(kind, (await everything((before) => depositPage(path, before), told)).map(depositRow));
    case "withdrawals":
      return table(kind, (await everything((before) => withdrawalPage(path, before), told)).map(withdrawalRow));
    case "payments":
      return table(kind, payments.map(paymentRow));
  }
}

async function fillPage(before: string): Promise<Page<Fill>> {
  const { data } = await session.api.GET("/v1/fills", { params: { query: { limit: 500, ...(before ? { before } : {}) } } });
  if (!data) throw new Error(text.money.unread);
  return { rows: readList(data.fills, "fill", readFill), next: data.next ?? "" };
}

async function depositPage(path: { address: string }, before: string): Promise<Page<Deposit>> {
  const { data } = await session.api.GET("/v1/accounts/{address}/deposits", { params: { path, query: { limit: 100, ...(before ? { before } : {}) } } });
  if (!data) throw new Error(text.money.unread);
  return { rows: readList(data.deposits, "deposit", readDeposit), next: data.next ?? "" };
}

async function withdrawalPage(path: { address: string }, before: string): Promise<Page<Withdrawal>> {
  const query = { limit: 100, ...(before ? { before: Number(before) } : {}) };
  const { data } = await session.api.GET("/v1/accounts/{address}/withdrawals", { params: { path, query } });
  if (!data) throw new Error(text.money.unread);
  return { rows: readList(data.withdrawals, "withdrawal", readWithdrawal), next: data.next ? String(data.next) : "" };
}
