/** The two hash trees: the map of the state and the list of a block's results (V-20 to V-27). */
import { sha256 } from "@noble/hashes/sha2.js";
import { BadBytes, Reader, concat, equal, isZero } from "./bytes.ts";

const hash = (tag: number, ...parts: Uint8Array[]): Uint8Array => sha256(concat(Uint8Array.of(tag), ...parts));

function u16(n: number): Uint8Array {
  return Uint8Array.of(n >> 8, n & 0xff);
}

/** The bit of a key at a position, counted from the highest bit of its first byte. */
function bitOf(key: Uint8Array, at: number): number {
  return ((key[at >> 3] ?? 0) >> (7 - (at & 7))) & 1;
}

/** Shows on which leaf the search for a key ends. */
export interface MapProof {
  key: Uint8Array; // of that leaf
  value: Uint8Array; // the hash of its value
  steps: { bit: number; sibling: Uint8Array }[]; // from the root down
}

/** Reads the encoding of a proof; undefined stands for that of an empty map (V-24). */
export function parseMapProof(bytes: Uint8Array): MapProof | undefined {
  if (bytes.length === 0) return undefined;
  const r = new Reader(bytes);
  const proof: MapProof = { key: r.take(32), value: r.take(32), steps: [] };
  let last = -1;
  while (r.left > 0) {
    const bit = r.u8();
    if (bit <= last) throw new BadBytes("the bits of a proof do not ascend");
    last = bit;
    proof.steps.push({ bit, sibling: r.take(32) });
  }
  if (proof.steps.length === 0 && isZero(proof.key) && isZero(proof.value)) throw new BadBytes("a proof is all zero");
  return proof;
}

/** Whether the search for a key in the map with this root ends on the leaf of the proof (V-25). */
function leads(proof: MapProof, root: Uint8Array, key: Uint8Array): boolean {
  let h = hash(0, proof.key, proof.value);
  for (const { bit, sibling } of [...proof.steps].reverse()) {
    if (bitOf(proof.key, bit) !== bitOf(key, bit)) return false;
    h = bitOf(key, bit) === 0 ? hash(1, u16(bit), h, sibling) : hash(1, u16(bit), sibling, h);
  }
  return equal(h, root);
}

/** Whether the proof shows that the map with this root has this value under the key. */
export function present(proof: MapProof | undefined, root: Uint8Array, key: Uint8Array, value: Uint8Array): boolean {
  return proof !== undefined && equal(proof.key, key) && equal(proof.value, sha256(value)) && leads(proof, root, key);
}

/** Whether the proof shows that the map with this root lacks the key. */
export function absent(proof: MapProof | undefined, root: Uint8Array, key: Uint8Array): boolean {
  if (isZero(root)) return proof === undefined;
  return proof !== undefined && !equal(proof.key, key) && leads(proof, root, key);
}

/** Whether a list with this root has this value at the place that the proof says (V-26, V-27). */
export function inList(proof: Uint8Array, root: Uint8Array, value: Uint8Array): boolean {
  const r = new Reader(proof);
  const [index, length] = [r.u32(), r.u32()];
  if (index >= length) throw new BadBytes("a proof is of an item that there is not");
  const rights: boolean[] = [];
  for (let [at, n] = [index, length]; n > 1; ) {
    const left = 2 ** Math.floor(Math.log2(n - 1));
    rights.push(at >= left);
    [at, n] = at < left ? [at, left] : [at - left, n - left];
  }
  const siblings = rights.map(() => r.take(32));
  r.end();
  let h = hash(2, value);
  for (let i = rights.length - 1; i >= 0; i--) {
    const sibling = siblings[i] ?? new Uint8Array();
    h = rights[i] ? hash(3, sibling, h) : hash(3, h, sibling);
  }
  return equal(hash(4, proof.slice(4, 8), h), root);
}
