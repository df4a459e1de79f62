/** Makes a key of a passphrase, at a cost that trying many would have (scrypt). */
import { scrypt } from "@noble/hashes/scrypt.js";

export interface Stretch {
  text: Uint8Array;
  salt: Uint8Array;
  log2n: number; // of scrypt: n is 2 to this
  r: number;
  p: number;
}

export function stretchKey(s: Stretch): Uint8Array {
  return scrypt(s.text, s.salt, { N: 2 ** s.log2n, r: s.r, p: s.p, dkLen: 32, maxmem: 2 ** 31 });
}
