/** Addresses of accounts: 20 bytes, as text bech32m behind "souk" (V-13, V-14). */
import { sha256 } from "@noble/hashes/sha2.js";
import { bech32, bech32m, checksum, encode, fromGroups, toGroups, valueOf } from "./bech32.ts";
import { concat, encodeUtf8 } from "./bytes.ts";
import { coreText } from "./text.ts";

/** What somebody wrote is not an address; the message says which part is wrong. */
export class BadAddress extends Error {
  override readonly name = "BadAddress";
}

const part = "souk";
const size = 20;
const length = 43;
const t = coreText.address;

/** The address of the account that a public key opens. */
export function addressOf(key: Uint8Array): Uint8Array {
  return sha256(concat(encodeUtf8("souk/address/v1"), key)).slice(0, size);
}

export function encodeAddress(address: Uint8Array): string {
  if (address.length !== size) throw new TypeError(`an address has ${size} bytes, not ${address.length}`);
  return encode(part, toGroups(address), bech32m);
}

/** Reads an address as somebody wrote it. Spaces around it are forgiven. */
export function decodeAddress(text: string): Uint8Array {
  const trimmed = text.trim();
  const lower = trimmed.toLowerCase();
  if (trimmed === "") throw new BadAddress(t.empty);
  if (/\s/.test(trimmed)) throw new BadAddress(t.space);
  if (!lower.startsWith(part + "1")) throw new BadAddress(t.prefix);
  if (trimmed !== lower && trimmed !== trimmed.toUpperCase()) throw new BadAddress(t.mixed);
  const groups: number[] = [];
  for (let i = part.length + 1; i < lower.length; i++) {
    const value = valueOf(lower.charAt(i));
    if (value < 0) throw new BadAddress(t.letter(i + 1, trimmed.charAt(i)));
    groups.push(value);
  }
  if (lower.length < length) throw new BadAddress(t.short(length - lower.length));
  if (lower.length > length) throw new BadAddress(t.long(lower.length - length));
  const sum = checksum(part, groups);
  if (sum === bech32) throw new BadAddress(t.old);
  if (sum !== bech32m) {
    const at = suspect(groups);
    throw new BadAddress(at === undefined ? t.checksum : t.typo(part.length + 2 + at));
  }
  const address = fromGroups(groups.slice(0, -6));
  if (address?.length !== size) throw new BadAddress(t.checksum);
  return address;
}

/**
 * The one place where another character would make the checksum right. It is told where to
 * look and never what to write: a program that corrects addresses sends money to strangers.
 */
function suspect(groups: readonly number[]): number | undefined {
  for (let at = 0; at < groups.length; at++) {
    const tried = [...groups];
    for (let v = 0; v < 32; v++) {
      tried[at] = v;
      if (v !== groups[at] && checksum(part, tried) === bech32m) return at;
    }
  }
  return undefined;
}

/** An address that a person can recognise at a glance; never to be copied or compared. */
export function shortAddress(text: string): string {
  return text.length <= 16 ? text : `${text.slice(0, 10)}…${text.slice(-4)}`;
}
