/**
 * The key of an account: Ed25519, made of 12 or 24 words (V-10 to V-17). The words' list is
 * large, so it is fetched when words are made or read.
 */
import { ed25519 } from "@noble/curves/ed25519.js";
import { hmac } from "@noble/hashes/hmac.js";
import { sha512 } from "@noble/hashes/sha2.js";
import { addressOf, encodeAddress } from "./address.ts";
import { concat, encodeUtf8 } from "./bytes.ts";
import { coreText } from "./text.ts";

/** What somebody wrote is not the words of a key; the message says which word is wrong. */
export class BadWords extends Error {
  override readonly name = "BadWords";
}

/** A key that was wiped is used. */
export class Wiped extends Error {
  override readonly name = "Wiped";
}

/** A private key. It shows nothing of itself when it is printed. */
export class Key {
  readonly publicKey: Uint8Array;
  readonly address: Uint8Array;
  /** The address as text. */
  readonly name: string;
  #secret: Uint8Array | undefined;

  /** Takes the 32 bytes of the key over: they are wiped with it. */
  constructor(secret: Uint8Array) {
    if (secret.length !== 32) throw new TypeError("a private key has 32 bytes");
    this.#secret = secret;
    this.publicKey = ed25519.getPublicKey(secret);
    this.address = addressOf(this.publicKey);
    this.name = encodeAddress(this.address);
  }

  /** The 64 bytes of a signature over exactly these bytes. */
  sign(bytes: Uint8Array): Uint8Array {
    if (!this.#secret) throw new Wiped(coreText.words.wiped);
    return ed25519.sign(bytes, this.#secret);
  }

  /** Overwrites the key. JavaScript may have copied it; more than this nobody can do here. */
  wipe(): void {
    this.#secret?.fill(0);
    this.#secret = undefined;
  }

  get wiped(): boolean {
    return this.#secret === undefined;
  }

  toJSON(): string {
    return "[redacted]";
  }
}

/** Which key of the words: account and key count from zero (V-17). */
export interface Path {
  account: number;
  key: number;
}

const purpose = 44;
const coin = 0x736f756b; // "souk"
const hardened = 0x80000000;

/** The key at a path below a seed, by SLIP-10. */
export function derive(seed: Uint8Array, path: readonly number[]): Key {
  let node = hmac(sha512, encodeUtf8("ed25519 seed"), seed);
  for (const index of path) {
    if (!Number.isInteger(index) || index < 0 || index >= hardened) throw new TypeError("an index is out of range");
    const data = concat(Uint8Array.of(0), node.slice(0, 32), new Uint8Array(4));
    new DataView(data.buffer).setUint32(33, (index | hardened) >>> 0);
    const child = hmac(sha512, node.slice(32), data);
    node.fill(0);
    data.fill(0);
    node = child;
  }
  const key = new Key(node.slice(0, 32));
  node.fill(0);
  return key;
}

/** New words: 12, or 24 if more are wanted. */
export async function newWords(count: 12 | 24 = 12): Promise<string> {
  return (await import("./words.ts")).newWords(count);
}

/** Words in their normal form, lower case with single spaces, or BadWords. */
export async function checkWords(text: string): Promise<string> {
  return (await import("./words.ts")).checkWords(text);
}

/** The words of the list that begin with some letters: helps with typing, at most a few. */
export async function suggestWords(start: string): Promise<string[]> {
  return (await import("./words.ts")).suggestWords(start);
}

/** The key that words stand for: key 0 of account 0 if no other is named. */
export async function keyOf(words: string, path: Partial<Path> = {}, passphrase = ""): Promise<Key> {
  const seed = await (await import("./words.ts")).seedOf(words, passphrase);
  try {
    return derive(seed, [purpose, coin, path.account ?? 0, path.key ?? 0]);
  } finally {
    seed.fill(0);
  }
}
