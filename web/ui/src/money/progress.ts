/** How far deposits and withdrawals have come, in words and as a share. */
import { formatUnits } from "../souk/amount.ts";
import { text } from "../text.ts";
import type { Deposit, Withdrawal } from "./read.ts";
import { when } from "./span.ts";

export interface Progress {
  words: string;
  /** Steps done, of so many: what the bar shows. */
  done: number;
  of: number;
  ended: boolean;
}

/** A deposit is seen by members, then buried by blocks, then credited. The bar has a step for being agreed on, and one for each block. */
export function depositProgress(d: Deposit): Progress {
  const t = text.money.deposit;
  const blocks = Math.max(1, d.required ?? d.depth);
  const of = blocks + 1;
  switch (d.state) {
    case "seen":
      return { words: t.seen(d.members ?? 0, d.needed), done: 0, of, ended: false };
    case "deep":
      return { words: t.deep(Math.min(d.depth, blocks), blocks), done: 1 + Math.min(d.depth, blocks), of, ended: false };
    case "credited":
      return { words: t.done, done: of, of, ended: true };
  }
}

const steps = ["delayed", "waiting", "signing", "signed", "mined", "paid"] as const;

/** A withdrawal's state as one word, and what is to be said besides. */
export function withdrawalProgress(w: Withdrawal): Progress & { state: string; detail: string } {
  const t = text.money.withdraw;
  const at = steps.findIndex((s) => s === w.state);
  const detail = withdrawalDetail(w);
  const state = t.states[w.state];
  return { state, detail, words: detail ? `${state}: ${detail}` : state, done: Math.max(0, at), of: steps.length - 1, ended: w.state === "paid" || w.state === "cancelled" };
}

function withdrawalDetail(w: Withdrawal): string {
  const t = text.money.withdraw;
  switch (w.state) {
    case "delayed":
      return w.from === undefined ? "" : t.until(when(w.from));
    case "waiting":
      return w.reason ? t.reasons[w.reason] : "";
    case "signing":
      return t.signatures(w.signed ?? 0, w.needed ?? 0);
    case "signed":
      return t.onItsWay;
    case "mined":
      return t.depth(w.depth ?? 0, w.required ?? 0);
    case "paid":
      return w.depth === undefined ? "" : t.deep(w.depth);
    case "cancelled":
      return when(w.time);
  }
}

/** The fee of a withdrawal, or its bound as long as no transaction pays it. */
export function withdrawalFee(w: Withdrawal): string {
  const t = text.money.withdraw;
  if (w.fee !== undefined) return t.feePaid(formatUnits(w.fee, w.decimals, { trim: true }));
  return w.maxFee === undefined ? "" : t.feeBound(formatUnits(w.maxFee, w.decimals, { trim: true }));
}

/** It can be taken back until a transaction pays it. */
export function cancellable(w: Withdrawal): boolean {
  return w.state === "delayed" || w.state === "waiting";
}
