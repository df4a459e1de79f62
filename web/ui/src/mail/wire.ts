/** What peers ask each other over streams: one request and one answer each (O-70 to O-73). */
import { Reader, Writer, compare, concat, equal } from "../souk/bytes.ts";
import { kindHello, kindTagged } from "./envelope.ts";
import { BadMail, retention, shards, sizes } from "./form.ts";

export const protocols = { sums: "/souk/mail/sums/1", list: "/souk/mail/list/1", get: "/souk/mail/get/1", stem: "/souk/mail/stem/1" } as const;

const sumSize = 20;
const entrySize = 34;
export const mostEntries = 4096;
export const mostKeys = 64;
export const mostSums = retention * sumSize;
export const mostList = mostEntries * entrySize;
export const mostGot = mostKeys * (2 + sizes[2]);

/** Names one envelope among all that are kept: hour of expiry, tag, first half of its id. */
export interface Key {
  hour: number;
  tag: Uint8Array;
  id: Uint8Array;
}

/** What a list says of an envelope. */
export interface Entry {
  shard: number;
  kind: number;
  key: Key;
}

export function encodeKey(k: Key): Uint8Array {
  return new Writer().u32(k.hour).raw(k.tag, 16).raw(k.id, 16).done();
}

/** Where the list of an hour begins. */
export function firstKey(hour: number): Key {
  return { hour, tag: new Uint8Array(16), id: new Uint8Array(16) };
}

export function encodeSumsRequest(from: number, to: number): Uint8Array {
  return new Writer().u32(from).u32(to).done();
}

/** The sums of n hours: each says what there is of one, and differs if anything of it does. */
export function readSums(bytes: Uint8Array, n: number): Uint8Array[] {
  if (bytes.length !== n * sumSize) throw new BadMail("sums of another length");
  return Array.from({ length: n }, (_, i) => bytes.slice(i * sumSize, (i + 1) * sumSize));
}

/** Whether a sum is of nothing. */
export function isEmpty(sum: Uint8Array): boolean {
  return equal(sum.subarray(0, 4), new Uint8Array(4));
}

/** The list of what comes after a key, in order. */
export function readList(bytes: Uint8Array, after: Key): Entry[] {
  if (bytes.length % entrySize !== 0 || bytes.length > mostList) throw new BadMail("a list of another length");
  const r = new Reader(bytes);
  const list: Entry[] = [];
  let last = encodeKey(after);
  while (r.left > 0) {
    const [shard, kind, tag, id] = [r.u8(), r.u8(), r.take(16), r.take(16)];
    const key = { hour: after.hour, tag, id };
    const next = encodeKey(key);
    if (compare(next, last) <= 0 || shard >= shards || (kind !== kindTagged && kind !== kindHello)) throw new BadMail("a list in no order");
    list.push({ shard, kind, key });
    last = next;
  }
  return list;
}

export function encodeGetRequest(keys: readonly Key[]): Uint8Array {
  return concat(...keys.map(encodeKey));
}

/** Envelopes that nobody has checked yet. */
export function readGot(bytes: Uint8Array): Uint8Array[] {
  const r = new Reader(bytes);
  const all: Uint8Array[] = [];
  while (r.left > 0) {
    const n = r.u16();
    if (n === 0 || n > sizes[2] || all.length === mostKeys) throw new BadMail("an answer of another form");
    all.push(r.take(n));
  }
  return all;
}
