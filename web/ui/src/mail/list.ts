/** Lists: mail to all who know a name (O-40 to O-42). */
import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { Writer, compare, encodeUtf8, hex } from "../souk/bytes.ts";
import { kindTagged, type Envelope } from "./envelope.ts";
import { BadMail, shards } from "./form.ts";
import { derive, passing, type Agreement, type Owner } from "./keys.ts";
import type { Letter } from "./letter.ts";
import { openInner, sealWith, unwrap, type Opened, type Person } from "./seal.ts";

export class List {
  readonly shard: number;
  readonly #secret: Uint8Array;
  readonly #reader: Person;

  constructor(name: string) {
    const bytes = encodeUtf8(name);
    if (bytes.length === 0 || bytes.length > 256) throw new BadMail("a list's name has 1 to 256 bytes");
    this.#secret = derive(bytes, undefined, "souk/mail/list/v1", 32);
    this.#reader = { identity: new Uint8Array(32), key: derive(this.#secret, undefined, "souk/mail/list-reader/v1", 32) };
    this.shard = (derive(this.#secret, undefined, "souk/mail/list-shard/v1", 1)[0] ?? 0) % shards;
  }

  /** The tag of posts that expire in an hour. */
  tag(expiry: number): Uint8Array {
    return hmac(sha256, this.#secret, new Writer().u32(expiry).done()).slice(0, 16);
  }

  /** Closes a letter for all who know the name. The key opens nothing: without one a post would be known for what it is. */
  post(from: Owner, expiry: number, letter: Letter, ephemeral: Agreement = passing()): Promise<Uint8Array> {
    const at = { kind: kindTagged, shard: this.shard, tag: this.tag(expiry) } as const;
    return sealWith(ephemeral.publicKey, from, this.#reader, at, expiry, letter, this.#secret, this.#secret);
  }

  open(e: Envelope): Opened {
    return openInner(unwrap(this.#secret, this.#reader.key, e), this.#secret, this.#reader, e);
  }
}

/** The name of the list for those who would move an asset between two virtual servers. */
export function marketList(asset: string, a: Uint8Array, b: Uint8Array): string {
  const [first, second] = compare(a, b) > 0 ? [b, a] : [a, b];
  return `souk/market/v1/${asset}/${hex(first)}/${hex(second)}`;
}
