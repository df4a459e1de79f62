/** A checkpoint as people pass it on: the height and the hash of a header, HEIGHT:HASH (C-65). */
import { fromHex } from "../souk/bytes.ts";

export interface Checkpoint {
  height: number;
  hash: Uint8Array;
}

/** Reads one; undefined if it is none. Spaces around it, and capitals, do not matter. */
export function readCheckpoint(text: string): Checkpoint | undefined {
  const found = /^(?<height>[1-9][0-9]{0,15}):(?<hash>[0-9a-f]{64})$/.exec(text.trim().toLowerCase())?.groups;
  const height = Number(found?.["height"]);
  return found && Number.isSafeInteger(height) ? { height, hash: fromHex(found["hash"] ?? "", 32) } : undefined;
}

export function writeCheckpoint(at: { height: number; hash: string }): string {
  return `${at.height}:${at.hash}`;
}
