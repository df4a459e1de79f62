/** Envelopes: what goes over the network, and the order in which it is judged (O-1 to O-12). */
import { sha256 } from "@noble/hashes/sha2.js";
import { Reader, Writer, isZero } from "../souk/bytes.ts";
import { BadMail, retention, shards, sizeFits } from "./form.ts";
import { stamped, targetOf, workOf, type Price } from "./stamp.ts";

export const kindTagged = 1;
export const kindHello = 2;
export type EnvelopeKind = typeof kindTagged | typeof kindHello;

/** What an envelope shows, besides its expiry. */
export interface Address {
  kind: EnvelopeKind;
  shard: number;
  /** Of a hello: the bucket and zeros. */
  tag: Uint8Array;
}

export interface Envelope extends Address {
  ephemeral: Uint8Array;
  /** The first hour in which it is not kept any more. */
  expiry: number;
  sealed: Uint8Array;
  stamp: bigint;
}

export const headerSize = 1 + 1 + 1 + 16 + 32 + 4;
const stampSize = 8;

/** The tag of every first letter to a bucket. */
export function bucketTag(bucket: number): Uint8Array {
  const tag = new Uint8Array(16);
  tag[0] = bucket;
  return tag;
}

/** Reads the one encoding of an envelope. */
export function readEnvelope(bytes: Uint8Array): Envelope {
  if (!sizeFits(bytes.length)) throw new BadMail("an envelope has another size");
  const r = new Reader(bytes);
  const version = r.u8();
  const kind = r.u8();
  const shard = r.u8();
  const tag = r.take(16);
  if (version !== 1 || shard >= shards || (kind !== kindTagged && kind !== kindHello) || (kind === kindHello && !isZero(tag.subarray(1)))) {
    throw new BadMail("an envelope has another form");
  }
  return { kind, shard, tag, ephemeral: r.take(32), expiry: r.u32(), sealed: r.take(bytes.length - headerSize - stampSize), stamp: r.u64() };
}

/** What of an envelope is bound to what is encrypted in it. */
export function headerOf(e: Omit<Envelope, "sealed" | "stamp">): Uint8Array {
  return new Writer().u8(1).u8(e.kind).u8(e.shard).raw(e.tag, 16).raw(e.ephemeral, 32).u32(e.expiry).done();
}

export function encodeEnvelope(e: Envelope): Uint8Array {
  return new Writer().raw(headerOf(e)).raw(e.sealed).u64(e.stamp).done();
}

/** The id of an encoded envelope: all of it but the stamp (O-2). */
export function idOf(bytes: Uint8Array): Uint8Array {
  return sha256(bytes.subarray(0, Math.max(0, bytes.length - stampSize)));
}

/** Writes a stamp into an encoded envelope. */
export function putStamp(bytes: Uint8Array, stamp: bigint): void {
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).setBigUint64(bytes.length - stampSize, stamp);
}

/** Why an envelope is not carried. */
export type Drop = "size" | "form" | "expired" | "future" | "known" | "stamp";

/** Whether whoever passed such an envelope on could have known better. */
export function guilty(drop: Drop): boolean {
  return drop !== "expired" && drop !== "known";
}

/** Judges an envelope that came over the network, in the order of O-10. */
export function check(bytes: Uint8Array, now: number, price: Price, known: (id: Uint8Array) => boolean): { envelope: Envelope; id: Uint8Array } | { drop: Drop } {
  if (!sizeFits(bytes.length)) return { drop: "size" };
  let envelope: Envelope;
  try {
    envelope = readEnvelope(bytes);
  } catch {
    return { drop: "form" };
  }
  if (envelope.expiry <= now) return { drop: "expired" };
  if (envelope.expiry - now > retention) return { drop: "future" };
  const id = idOf(bytes);
  if (known(id)) return { drop: "known" };
  if (!stamped(id, envelope.stamp, targetOf(workOf(price, bytes.length, envelope.expiry - now, envelope.kind)))) return { drop: "stamp" };
  return { envelope, id };
}
