/** Reads what servers answer. Nothing of it is believed: it only leads to what is proven. */
import { BadBytes, fromBase64 } from "../souk/bytes.ts";

/** A proof as it stands in an answer (H-60). */
export interface RawProof {
  height: number;
  leaf: Uint8Array; // none: there is no such leaf
  path: Uint8Array;
  item: Uint8Array;
  list: Uint8Array;
}

export function record(v: unknown): Record<string, unknown> {
  if (typeof v !== "object" || v === null || Array.isArray(v)) throw new BadBytes("an answer is no object");
  return v as Record<string, unknown>;
}

export function array(v: unknown): unknown[] {
  if (!Array.isArray(v)) throw new BadBytes("an answer has no list");
  return v;
}

export function whole(v: unknown): number {
  if (typeof v !== "number" || !Number.isSafeInteger(v) || v < 0) throw new BadBytes("an answer has no number");
  return v;
}

export function text(v: unknown): string {
  if (typeof v !== "string") throw new BadBytes("an answer has no text");
  return v;
}

function bytes(v: unknown): Uint8Array {
  return v === undefined ? new Uint8Array() : fromBase64(text(v));
}

export function proofOf(v: unknown): RawProof {
  const p = record(v);
  return { height: whole(p["height"]), leaf: bytes(p["leaf"]), path: bytes(p["path"]), item: bytes(p["item"]), list: bytes(p["list"]) };
}
