/** Amounts that are locked between accounts (docs/spec/06-escrow.md): what each party may do, and when. */
import type { Schemas } from "souk-api";
import { fromHex } from "../souk/bytes.ts";
import { readAmount, readCount, readText, type Amount } from "./read.ts";

export type Part = "payer" | "payee" | "arbiter";

export interface Escrow {
  id: number;
  part: Part;
  symbol: string;
  amount: Amount;
  payer: string;
  payee: string;
  arbiter: string;
  deadline: number;
  window: number;
  disputed: boolean;
  memo: string;
}

export function readEscrow(v: Schemas["Escrow"], own: string): Escrow {
  const [payer, payee, arbiter] = [readText(v.payer, "escrow"), readText(v.payee, "escrow"), readText(v.arbiter ?? "", "escrow")];
  return {
    id: readCount(v.id, "escrow"), part: own === payer ? "payer" : own === payee ? "payee" : "arbiter", symbol: readText(v.symbol, "escrow", 16),
    amount: readAmount(v.amount, "escrow"), payer, payee, arbiter, deadline: readCount(v.deadline, "escrow"), window: readCount(v.window ?? 0, "escrow"),
    disputed: v.disputed === true, memo: readText(v.memo ?? "", "escrow"),
  };
}

/** What a party may do now (E-20 to E-43). What time brings about by itself is not among it. */
export type Act = "claim" | "refund" | "giveUp" | "dispute" | "pay" | "return";

export function actsOf(e: Escrow, now: number): Act[] {
  const open = now < e.deadline;
  switch (e.part) {
    case "payer":
      return [...(!open && !e.disputed ? (["refund"] as const) : []), ...disputes(e, open)];
    case "payee":
      return [...(open && !e.disputed ? (["claim"] as const) : []), "giveUp", ...disputes(e, open)];
    case "arbiter":
      return e.disputed && now < e.deadline + e.window ? ["pay", "return"] : [];
  }
}

const disputes = (e: Escrow, open: boolean): Act[] => (open && !e.disputed && e.arbiter !== "" ? ["dispute"] : []);

/** The secret that an escrow pays for: 32 bytes in hexadecimal; undefined for any other text. */
export function readSecret(text: string): Uint8Array | undefined {
  try {
    return fromHex(text.trim().toLowerCase(), 32);
  } catch {
    return undefined;
  }
}
