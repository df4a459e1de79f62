/** A network of mail within one process, for tests: it keeps every envelope, and answers those who ask. */
import { sha256 } from "@noble/hashes/sha2.js";
import { Reader, Writer, compare, concat } from "../souk/bytes.ts";
import { idOf, readEnvelope } from "./envelope.ts";
import type { Net, Verdict } from "./net.ts";
import { encodeKey, protocols, type Key } from "./wire.ts";

interface Kept {
  data: Uint8Array;
  key: Key;
  sort: Uint8Array;
}

export class Field {
  readonly kept: Kept[] = [];
  readonly #judges = new Map<string, ((data: Uint8Array) => Verdict)[]>();
  /** While it is silent nobody hears of what is published. */
  silent = false;

  /** A peer's view of it. */
  net(): Net {
    return {
      peers: () => ["the one that keeps"],
      ask: async (_, protocol, request) => this.#answer(protocol, request),
      publish: async (topic, data) => this.carry(topic, data),
      subscribe: (topic, judge) => void this.#judges.set(topic, [...(this.#judges.get(topic) ?? []), judge]),
    };
  }

  carry(topic: string, data: Uint8Array): void {
    const e = readEnvelope(data);
    const key = { hour: e.expiry, tag: e.tag, id: idOf(data).slice(0, 16) };
    this.kept.push({ data, key, sort: encodeKey(key) });
    if (!this.silent) for (const judge of this.#judges.get(topic) ?? []) judge(data);
  }

  #of(hour: number): Kept[] {
    return this.kept.filter((k) => k.key.hour === hour).sort((a, b) => compare(a.sort, b.sort));
  }

  #answer(protocol: string, request: Uint8Array): Uint8Array {
    const r = new Reader(request);
    if (protocol === protocols.stem) {
      this.carry(`souk/mail/${readEnvelope(request).shard}`, request);
      return Uint8Array.of(1);
    }
    if (protocol === protocols.sums) {
      const [from, to] = [r.u32(), r.u32()];
      return concat(...Array.from({ length: to - from + 1 }, (_, i) => {
        const all = this.#of(from + i);
        return new Writer().u32(all.length).raw(sha256(concat(...all.map((k) => k.sort))).slice(0, 16)).done();
      }));
    }
    if (protocol === protocols.list) {
      const all = this.#of(r.copy().u32()).filter((k) => compare(k.sort, request) > 0);
      return concat(...all.map((k) => new Writer().u8(k.data[2] ?? 0).u8(k.data[1] ?? 0).raw(k.key.tag).raw(k.key.id).done()));
    }
    const asked = Array.from({ length: request.length / 36 }, (_, i) => request.slice(36 * i, 36 * i + 36));
    const found = this.kept.filter((k) => asked.some((a) => compare(a, k.sort) === 0));
    return concat(...found.map((k) => new Writer().u16(k.data.length).raw(k.data).done()));
  }
}
