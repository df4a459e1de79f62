/** Stamps: work that is hard to do and easy to check (O-11). */
import { sha512 } from "@noble/hashes/sha2.js";
import { Writer } from "../souk/bytes.ts";

/** What a stamp costs. All of a network use the same numbers. */
export interface Price {
  perByte: number; // hashes for each byte, and for each byte kept for 65,536 seconds
  extra: number; // bytes that are added to every size
  hello: number; // how many times dearer a first letter is
}

const most = (1n << 64n) - 1n;

/** How many hashes a stamp takes on average; left is counted in hours. */
export function workOf(p: Price, size: number, left: number, kind: number): bigint {
  const bytes = BigInt(size) + BigInt(p.extra);
  const work = BigInt(p.perByte) * (bytes + ((bytes * BigInt(left) * 3600n) >> 16n)) * (kind === 2 ? BigInt(p.hello) : 1n);
  return work < 1n ? 1n : work;
}

/** The greatest value that a stamp of so much work may have. */
export function targetOf(work: bigint): bigint {
  return most / (work < 1n ? 1n : work);
}

/** Whether a stamp is good for an envelope's id. */
export function stamped(id: Uint8Array, stamp: bigint, target: bigint): boolean {
  const bytes = new Writer().u64(stamp).raw(id, 32).done();
  const value = sha512(sha512(bytes));
  return new DataView(value.buffer, value.byteOffset).getBigUint64(0) <= target;
}

/** Looks for a stamp among some numbers from one on, each so many apart. */
export function mint(id: Uint8Array, target: bigint, from: number, step: number, tries: number): bigint | undefined {
  const bytes = new Uint8Array(40);
  bytes.set(id, 8);
  const view = new DataView(bytes.buffer);
  const high = Number(target >> 32n);
  for (let i = 0; i < tries; i++) {
    const n = from + i * step;
    view.setUint32(0, Math.floor(n / 2 ** 32));
    view.setUint32(4, n >>> 0);
    const value = sha512(sha512(bytes));
    const found = new DataView(value.buffer, value.byteOffset);
    // The first half decides nearly always, without big numbers.
    if (found.getUint32(0) <= high && found.getBigUint64(0) <= target) return BigInt(n);
  }
  return undefined;
}
