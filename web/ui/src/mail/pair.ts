/** What two people share: tags of letters and receipts both ways, and how letters are numbered (O-21 to O-24). */
import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { Writer } from "../souk/bytes.ts";
import { window } from "./form.ts";
import { derive, type Agreement } from "./keys.ts";

export class Pair {
  readonly #out: Uint8Array;
  readonly #in: Uint8Array;

  private constructor(out: Uint8Array, into: Uint8Array) {
    this.#out = out;
    this.#in = into;
  }

  static async of(own: Agreement, other: Uint8Array): Promise<Pair> {
    const secret = await own.shared(other);
    const chain = (a: Uint8Array, b: Uint8Array) => derive(secret, undefined, "souk/mail/tags/v1", 32, a, b);
    return new Pair(chain(own.publicKey, other), chain(other, own.publicKey));
  }

  /** The tag of the letter that I send with a number. */
  outTag = (n: number) => tagOf(this.#out, letterUse, n);
  /** The tag of the letter that the other sends with a number. */
  inTag = (n: number) => tagOf(this.#in, letterUse, n);
  /** The tag of my receipt for the other's letter. */
  outReceipt = (n: number) => tagOf(this.#in, receiptUse, n);
  /** The tag of the other's receipt for mine. */
  inReceipt = (n: number) => tagOf(this.#out, receiptUse, n);
}

const letterUse = 0x6c; // l
const receiptUse = 0x72; // r

function tagOf(key: Uint8Array, use: number, n: number): Uint8Array {
  return hmac(sha256, key, new Writer().u8(use).u64(BigInt(n)).done()).slice(0, 16);
}

/** Numbers of letters to one reader that are in use; all below base have a receipt. */
export interface Outgoing {
  base: number;
  busy: number[];
  acked: number[];
}

/** Takes the next free number, or none while the window is full (O-22). */
export function take(o: Outgoing): number | undefined {
  for (let n = o.base; n < o.base + window; n++) {
    if (o.busy.includes(n) || o.acked.includes(n)) continue;
    o.busy.push(n);
    return n;
  }
  return undefined;
}

/** The letter with a number has arrived. */
export function acknowledge(o: Outgoing, n: number): void {
  if (!o.busy.includes(n)) return;
  release(o, n);
  o.acked.push(n);
  while (o.acked.includes(o.base)) {
    o.acked.splice(o.acked.indexOf(o.base), 1);
    o.base++;
  }
}

/** Gives the number of a letter back that is not sent any more. */
export function release(o: Outgoing, n: number): void {
  const at = o.busy.indexOf(n);
  if (at >= 0) o.busy.splice(at, 1);
}

/** Which numbers are looked for when all below next may have arrived: from, and up to but not including to (O-23). */
export function range(next: number): { from: number; to: number } {
  return { from: next - Math.min(next, window), to: next + window };
}
