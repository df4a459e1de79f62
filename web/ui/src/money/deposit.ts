/**
 * Finds a deposit address that may be shown (docs/spec/10-http.md, H-103, H-104): derived here from the
 * members' proven keys, and proven to be the account's. What a server shows is only compared with it.
 */
import type { Schemas } from "souk-api";
import { connection } from "../net/connection.ts";
import { ProofError, type Proven, type ProvenAddress, type ProvenBank } from "../proof/proof.ts";
import { hex } from "../souk/bytes.ts";
import { prover } from "../state/facts.ts";
import { CommandRefused, session } from "../state/session.svelte.ts";
import { text } from "../text.ts";

import { readCount } from "./read.ts";

export interface OwnAddress {
  bank: Proven<ProvenBank>;
  address: Proven<ProvenAddress>;
}

/** A step that takes a while, for the user to know. */
export type Step = "finding" | "opening";

/** Codes of receipts, docs/spec/03-codes.md. */
const codes = { accountExists: 176, tooMany: 166 };

/** A deposit address of the session's account: one that nothing was paid to, or a new one. */
export async function ownAddress(asset: number, fresh: boolean, told: (step: Step) => void): Promise<OwnAddress> {
  told("finding");
  const bank = await prover().bank(asset);
  const own = session.address;
  if (await absent(own)) {
    told("opening");
    const given = await admit(asset);
    if (given) return { bank, address: await prover().freshAddress(bank.bank, given.series, given.index, own, given.salt) };
  } else if (!fresh) {
    const unused = await prover().unusedAddress(bank.bank, own);
    if (unused) return { bank, address: unused };
  }
  const given = await another(bank.bank);
  return { bank, address: await prover().freshAddress(bank.bank, given.series, given.index, own, given.salt) };
}

interface Given {
  series: number;
  index: number;
  salt: Uint8Array;
}

async function absent(own: string): Promise<boolean> {
  try {
    await prover().account(own);
    return false;
  } catch (error) {
    if (error instanceof ProofError && error.kind === "absent") return true;
    throw error;
  }
}

/** Random bytes that keep an address, a withdrawal or settings and their account apart (Y-93). */
export function newSalt(): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(16));
}

/** A receipt's number is series x 2^32 + index. */
export function placeOf(number: number | undefined): { series: number; index: number } {
  const n = readCount(number, "receipt");
  return { series: Math.floor(n / 2 ** 32), index: n % 2 ** 32 };
}

/** Has a member's server open the account with a first address. Nothing if there is an account by now. */
async function admit(asset: number): Promise<Given | undefined> {
  const salt = newSalt();
  const { data, error } = await session.api.POST("/v1/admissions", { params: { query: { bank: String(asset), salt: hex(salt) } } });
  const receipt: Schemas["Receipt"] | undefined = data;
  if (!receipt) throw new Error(error?.detail ?? text.money.unread);
  if (receipt.code === codes.accountExists) return undefined;
  if (receipt.code !== 0) throw new Error(receipt.message);
  connection.heard(receipt.height);
  return { ...placeOf(receipt.number), salt };
}

async function another(bank: number): Promise<Given> {
  const salt = newSalt();
  try {
    const receipt = await session.submit({ kind: "new-address", bank, salt });
    return { ...placeOf(receipt.number), salt };
  } catch (error) {
    if (error instanceof CommandRefused && error.receipt.code === codes.tooMany) throw new Error(text.money.deposit.tooMany);
    throw error;
  }
}
