/** How a letter is closed and opened: encrypted for its reader, signed, wrapped under a key that is used once, padded (O-30 to O-33). */
import { xchacha20poly1305 } from "@noble/ciphers/chacha.js";
import { Reader, Writer, concat, isZero } from "../souk/bytes.ts";
import { encodeEnvelope, headerOf, headerSize, type Address, type Envelope } from "./envelope.ts";
import { BadMail, Unreadable, sizes } from "./form.ts";
import { derive, passing, tagged, verify, type Agreement, type Owner } from "./keys.ts";
import { encodeLetter, readLetter, type Letter } from "./letter.ts";

/** Whom a letter is for, or who wrote it. */
export interface Person {
  identity: Uint8Array;
  key: Uint8Array;
}

export interface Opened {
  from: Person;
  letter: Letter;
}

const tag = "souk/mail/seal/v1";
const macSize = 16;
const stampSize = 8;
const innerSize = 2 + 32 + 32 + 64 + macSize;
/** How many bytes of an envelope are not a letter's encoding. */
export const overhead = headerSize + stampSize + macSize + innerSize;

/** Closes a letter; the envelope has no stamp yet. The ephemeral key is used for this one only. */
export async function seal(from: Owner, to: Person, at: Address, expiry: number, letter: Letter, ephemeral: Agreement = passing()): Promise<Uint8Array> {
  const inside = await from.key.shared(to.key);
  const outside = await ephemeral.shared(to.key);
  return sealWith(ephemeral.publicKey, from, to, at, expiry, letter, inside, outside);
}

/** seal with the secrets that writer and reader share: inside for what is signed, outside for the wrap. */
export async function sealWith(
  ephemeral: Uint8Array, from: Owner, to: Person, at: Address, expiry: number, letter: Letter, inside: Uint8Array, outside: Uint8Array,
): Promise<Uint8Array> {
  const text = encodeLetter(letter);
  const size = sizes.find((s) => text.length + overhead <= s);
  if (size === undefined) throw new BadMail("the letter is too long");
  const head = { ...at, ephemeral, expiry };
  const header = headerOf(head);
  const me = { identity: from.identity.publicKey, key: from.key.publicKey };
  const closed = cipherOf(inside, "souk/mail/letter/v1", ephemeral, me.key, to.key).encrypt(text);
  const signature = await from.identity.sign(tagged(tag, signedBytes(header, me.key, to, closed)));
  const inner = new Uint8Array(size - headerSize - macSize - stampSize);
  inner.set(new Writer().u16(closed.length).raw(me.identity, 32).raw(me.key, 32).raw(signature, 64).raw(closed).done());
  return encodeEnvelope({ ...head, sealed: cipherOf(outside, "souk/mail/wrap/v1", ephemeral, ephemeral, to.key, header).encrypt(inner), stamp: 0n });
}

/** Opens an envelope: Unreadable if it is not for this key, BadMail if it is, but not as it must be. */
export async function open(to: Owner, e: Envelope): Promise<Opened> {
  let outside: Uint8Array;
  try {
    outside = await to.key.shared(e.ephemeral);
  } catch {
    throw new Unreadable("it is not for this key");
  }
  const me = { identity: to.identity.publicKey, key: to.key.publicKey };
  const inner = unwrap(outside, me.key, e);
  return openInner(inner, await to.key.shared(inner.from.key), me, e);
}

/** What a wrap holds. */
export interface Inner {
  from: Person;
  signature: Uint8Array;
  closed: Uint8Array;
}

/** Takes the wrap off. */
export function unwrap(outside: Uint8Array, key: Uint8Array, e: Envelope): Inner {
  let plain: Uint8Array;
  try {
    plain = cipherOf(outside, "souk/mail/wrap/v1", e.ephemeral, e.ephemeral, key, headerOf(e)).decrypt(e.sealed);
  } catch {
    throw new Unreadable("it is not for this key, or damaged");
  }
  try {
    const r = new Reader(plain);
    const length = r.u16();
    const inner = { from: { identity: r.take(32), key: r.take(32) }, signature: r.take(64), closed: r.take(length) };
    if (isZero(r.rest())) return inner;
  } catch {
    // Said below.
  }
  throw new BadMail("what is in the envelope has another form");
}

/** Checks who wrote it, and opens the letter. */
export function openInner(inner: Inner, inside: Uint8Array, to: Person, e: Envelope): Opened {
  if (!verify(inner.from.identity, tag, signedBytes(headerOf(e), inner.from.key, to, inner.closed), inner.signature)) {
    throw new BadMail("the letter's signature is wrong");
  }
  let text: Uint8Array;
  try {
    text = cipherOf(inside, "souk/mail/letter/v1", e.ephemeral, inner.from.key, to.key).decrypt(inner.closed);
  } catch {
    throw new BadMail("the letter does not open");
  }
  return { from: inner.from, letter: readLetter(text) };
}

function signedBytes(header: Uint8Array, from: Uint8Array, to: Person, closed: Uint8Array): Uint8Array {
  return concat(header, from, to.identity, to.key, closed);
}

/** The cipher of one envelope for one purpose. Key and nonce come of the ephemeral key, so none is used twice. */
function cipherOf(secret: Uint8Array, purpose: string, ephemeral: Uint8Array, a: Uint8Array, b: Uint8Array, bound?: Uint8Array) {
  const key = derive(secret, ephemeral, purpose, 32 + 24, a, b);
  return xchacha20poly1305(key.subarray(0, 32), key.subarray(32), bound);
}
