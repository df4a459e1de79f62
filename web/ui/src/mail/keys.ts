/**
 * Keys of mail: an Ed25519 identity that signs and an X25519 key that letters are closed for. Where
 * the browser has these itself, their secret halves never come to the page: nobody can copy them out
 * of it. Where it has not, they are bytes.
 */
import { ed25519, x25519 } from "@noble/curves/ed25519.js";
import { hkdf } from "@noble/hashes/hkdf.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { concat, encodeUtf8, isZero } from "../souk/bytes.ts";
import { BadMail } from "./form.ts";

/** Signs. */
export interface Identity {
  readonly publicKey: Uint8Array;
  sign(bytes: Uint8Array): Promise<Uint8Array>;
}

/** Shares secrets. */
export interface Agreement {
  readonly publicKey: Uint8Array;
  /** The X25519 of this key and another one; BadMail for a key with which everybody shares the same. */
  shared(other: Uint8Array): Promise<Uint8Array>;
}

/** Who writes, and what opens letters to him. */
export interface Owner {
  identity: Identity;
  key: Agreement;
}

/** What the browser keeps of an owner: keys of its own, or seeds where it has none. */
export interface KeptKeys {
  identity: KeptKey;
  key: KeptKey;
}
export type KeptKey = { publicKey: Uint8Array; secret: CryptoKey } | { publicKey: Uint8Array; seed: Uint8Array };

/** Makes an Ed25519 key to be kept. */
export function newIdentity(): Promise<KeptKey> {
  return make("Ed25519", ["sign", "verify"], (seed) => ed25519.getPublicKey(seed));
}

/** Makes an X25519 key to be kept. */
export function newAgreement(): Promise<KeptKey> {
  return make("X25519", ["deriveBits"], (seed) => x25519.getPublicKey(seed));
}

async function make(name: string, uses: KeyUsage[], publicOf: (seed: Uint8Array) => Uint8Array): Promise<KeptKey> {
  let pair: CryptoKeyPair;
  try {
    pair = (await crypto.subtle.generateKey({ name }, false, uses)) as CryptoKeyPair;
  } catch {
    const seed = crypto.getRandomValues(new Uint8Array(32));
    return { publicKey: publicOf(seed), seed };
  }
  return { publicKey: new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey)), secret: pair.privateKey };
}

/** An identity out of what was kept. */
export function identityOf(kept: KeptKey): Identity {
  return {
    publicKey: kept.publicKey,
    sign: async (bytes) =>
      "seed" in kept ? ed25519.sign(bytes, kept.seed) : new Uint8Array(await crypto.subtle.sign("Ed25519", kept.secret, Uint8Array.from(bytes))),
  };
}

/** A key out of what was kept. */
export function agreementOf(kept: KeptKey): Agreement {
  return {
    publicKey: kept.publicKey,
    shared: async (other) => {
      checkKey(other);
      if ("seed" in kept) return x25519.getSharedSecret(kept.seed, other);
      const their = await crypto.subtle.importKey("raw", Uint8Array.from(other), "X25519", false, []);
      return new Uint8Array(await crypto.subtle.deriveBits({ name: "X25519", public: their }, kept.secret, 256));
    },
  };
}

/** A key that is used once: its seed is forgotten with it. */
export function passing(seed: Uint8Array = crypto.getRandomValues(new Uint8Array(32))): Agreement {
  return agreementOf({ publicKey: x25519.getPublicKey(seed), seed });
}

/** Throws BadMail unless a secret can be shared with a key (O-20). */
export function checkKey(key: Uint8Array): void {
  let secret: Uint8Array | undefined;
  if (key.length === 32 && ((key[31] ?? 0xff) & 0x80) === 0) {
    try {
      secret = x25519.getSharedSecret(Uint8Array.of(1, ...new Uint8Array(31)), key);
    } catch {
      // It is of small order.
    }
  }
  if (!secret || isZero(secret)) throw new BadMail("not a usable mail key");
}

/** Bytes of a secret for one purpose, and what it is bound to (RFC 5869). */
export function derive(secret: Uint8Array, salt: Uint8Array | undefined, purpose: string, length: number, ...bound: Uint8Array[]): Uint8Array {
  return hkdf(sha256, secret, salt, concat(encodeUtf8(purpose), ...bound), length);
}

/** What stands before all that is signed for a purpose (V-12). */
export function tagged(tag: string, bytes: Uint8Array): Uint8Array {
  const name = encodeUtf8(tag);
  return concat(Uint8Array.of(name.length), name, bytes);
}

/** Whether an identity has signed bytes for a purpose. */
export function verify(identity: Uint8Array, tag: string, bytes: Uint8Array, signature: Uint8Array): boolean {
  try {
    return !ed25519.Point.fromBytes(identity).isSmallOrder() && ed25519.verify(signature, tagged(tag, bytes), identity, { zip215: true });
  } catch {
    return false;
  }
}
