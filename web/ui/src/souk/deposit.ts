/**
 * Deposit addresses, derived from the proven keys of a series: nobody else need be believed about
 * where money is paid to (H-103, X-40 to X-45). A chunk of its own: it brings the curve of Bitcoin.
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { HDKey } from "@scure/bip32";
import type { MemberKey, Series } from "./bank.ts";
import { BadBytes, Writer, compare, concat } from "./bytes.ts";

const [opIf, opElse, opEndIf, opDrop, opCheckMultiSig, opCheckSequence] = [0x63, 0x67, 0x68, 0x75, 0xae, 0xb2];
const op1 = 0x51;
const deposits = 1;
const hardened = 0x80000000;

/** The output script that pays to a series at a branch and index. */
export function seriesOutput(s: Series, branch: number, index: number): Uint8Array {
  return concat(Uint8Array.of(0, 32), sha256(witnessScript(s, branch, index)));
}

/** The output script of a series' deposit address at an index. */
export function depositOutput(s: Series, index: number): Uint8Array {
  return seriesOutput(s, deposits, index);
}

export function witnessScript(s: Series, branch: number, index: number): Uint8Array {
  if (index >= hardened || branch >= hardened) throw new BadBytes("an index is out of range");
  const now = multisig(s.k, s.members, branch, index);
  if (!s.recovery) return now;
  const { k, keys, sequence } = s.recovery;
  return concat(
    Uint8Array.of(opIf), now, Uint8Array.of(opElse), scriptNumber(sequence), Uint8Array.of(opCheckSequence, opDrop),
    multisig(k, keys, branch, index), Uint8Array.of(opEndIf),
  );
}

/** k of n keys in ascending order (BIP-67). */
function multisig(k: number, keys: readonly MemberKey[], branch: number, index: number): Uint8Array {
  const children = keys.map((key) => child(key, branch, index)).sort(compare);
  const w = new Writer().u8(op1 - 1 + k);
  for (const key of children) w.bytes8(key, 33);
  return w.u8(op1 - 1 + children.length).u8(opCheckMultiSig).done();
}

/** The child of an extended public key (BIP-32). */
function child(m: MemberKey, branch: number, index: number): Uint8Array {
  let key: Uint8Array | null;
  try {
    key = new HDKey({ publicKey: m.key, chainCode: m.chainCode }).deriveChild(branch).deriveChild(index).publicKey;
  } catch {
    throw new BadBytes("a key of a series is none");
  }
  if (!key) throw new BadBytes("a key of a series is none");
  return key;
}

/** The shortest push of a number above zero and below 2^31. */
function scriptNumber(n: number): Uint8Array {
  if (n <= 16) return Uint8Array.of(op1 - 1 + n);
  const bytes: number[] = [];
  for (let v = n; v > 0; v = Math.floor(v / 256)) bytes.push(v % 256);
  if ((bytes.at(-1) ?? 0) >= 0x80) bytes.push(0); // or it would be negative
  return Uint8Array.of(bytes.length, ...bytes);
}
