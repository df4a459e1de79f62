/**
 * A light carrier (O-70): it listens to its mailbox's shards and some others, asks full ones for what
 * came while it was away, and has envelopes published by a neighbour. It keeps ids only.
 */
import { equal, hex } from "../souk/bytes.ts";
import { check, guilty, readEnvelope, type Envelope } from "./envelope.ts";
import { BadMail, hourOf, retention, shards } from "./form.ts";
import type { Net, Verdict } from "./net.ts";
import type { Price } from "./stamp.ts";
import {
  encodeGetRequest, encodeKey, encodeSumsRequest, firstKey, isEmpty, mostEntries, mostGot, mostKeys, mostList, mostSums, protocols, readGot, readList, readSums,
  type Entry, type Key,
} from "./wire.ts";

/** Who reads what is carried. */
export interface Box {
  /** Whether an envelope may be for it. */
  wants(kind: number, tag: Uint8Array): boolean;
  receive(e: Envelope): Promise<void>;
}

/** How many peers are asked each time: one may say that there is nothing. */
const syncOf = 2;
/** How many envelopes are asked for, for each that is wanted; and at least (O-72). */
const coverTimes = 4;
const coverLeast = 8;

export class Carrier {
  /** Envelopes that came, by why they were dropped. */
  readonly dropped: Record<string, number> = {};
  readonly #net: Net;
  readonly #price: Price;
  readonly #box: Box;
  readonly #now: () => number;
  /** Ids that are known, until the hour in which they expire. */
  readonly #known = new Map<string, number>();
  readonly #listening = new Set<number>();
  /** What peers had when they were asked last, by hour. */
  readonly #asked = new Map<string, Map<number, Uint8Array>>();
  #wishes = 0;

  constructor(net: Net, price: Price, box: Box, now: () => number = Date.now) {
    this.#net = net;
    this.#price = price;
    this.#box = box;
    this.#now = now;
  }

  /** Listens to a shard. */
  listen(shard: number): void {
    if (shard >= shards || this.#listening.has(shard)) return;
    this.#listening.add(shard);
    this.#net.subscribe(topicOf(shard), (data) => this.#judge(shard, data));
  }

  #judge(shard: number, data: Uint8Array): Verdict {
    const got = this.#check(data);
    if (typeof got === "string") return got;
    if (got.envelope.shard !== shard) return this.#drop("shard", true);
    this.#take(got);
    return "accept";
  }

  #check(data: Uint8Array): { envelope: Envelope; id: string } | Verdict {
    const got = check(data, hourOf(this.#now()), this.#price, (id) => this.#known.has(hex(id)));
    if ("drop" in got) return this.#drop(got.drop, guilty(got.drop));
    return { envelope: got.envelope, id: hex(got.id) };
  }

  #drop(why: string, theirs: boolean): Verdict {
    this.dropped[why] = (this.dropped[why] ?? 0) + 1;
    return theirs ? "reject" : "ignore";
  }

  #take({ envelope, id }: { envelope: Envelope; id: string }): void {
    this.#known.set(id, envelope.expiry);
    void this.#box.receive(envelope);
  }

  /** Forgets what has expired. */
  turn(): void {
    const now = hourOf(this.#now());
    for (const [id, expiry] of this.#known) if (expiry <= now) this.#known.delete(id);
  }

  /** Something else is wanted than before: what was let go by may be. */
  again(): void {
    this.#known.clear();
    this.#asked.clear();
    this.#wishes++;
  }

  /** Has an envelope published: by neighbours drawn at random, or, where none does that, from here (O-73). */
  async send(data: Uint8Array, times = 1): Promise<void> {
    let taken = 0;
    for (const peer of shuffle(this.#net.peers()).slice(0, times + 4)) {
      const answer = await this.#net.ask(peer, protocols.stem, data, 1).catch(() => undefined);
      if (answer?.length === 1 && ++taken === times) break;
    }
    if (taken === 0) await this.#net.publish(topicOf(readEnvelope(data).shard), data);
  }

  /** Asks full carriers for what came in the meantime; answers how many did. */
  async sync(): Promise<number> {
    let answered = 0;
    for (const peer of shuffle(this.#net.peers())) {
      try {
        await this.#syncWith(peer);
        if (++answered === syncOf) break;
      } catch {
        // It keeps no mail, or is gone, or gave what is none.
      }
    }
    return answered;
  }

  async #syncWith(peer: string): Promise<void> {
    const [from, wishes] = [hourOf(this.#now()) + 1, this.#wishes];
    const sums = readSums(await this.#net.ask(peer, protocols.sums, encodeSumsRequest(from, from + retention - 1), mostSums), retention);
    const before = this.#asked.get(peer);
    for (const [i, sum] of sums.entries()) {
      const known = before?.get(from + i);
      if (!isEmpty(sum) && !(known && equal(known, sum))) await this.#syncHour(peer, from + i);
    }
    if (wishes === this.#wishes) this.#asked.set(peer, new Map(sums.map((s, i) => [from + i, s])));
  }

  async #syncHour(peer: string, hour: number): Promise<void> {
    for (let after = firstKey(hour); ; ) {
      const list = readList(await this.#net.ask(peer, protocols.list, encodeKey(after), mostList), after);
      await this.#get(peer, this.#choose(list));
      const last = list.at(-1);
      if (list.length < mostEntries || !last) return;
      after = last.key;
    }
  }

  /** Picks what to ask for, in no order that says anything. */
  #choose(list: readonly Entry[]): Key[] {
    const short = new Set(Array.from(this.#known.keys(), (id) => id.slice(0, 32)));
    const fresh = list.filter((e) => !short.has(hex(e.key.id)));
    const wanted = fresh.filter((e) => this.#box.wants(e.kind, e.key.tag));
    const others = shuffle(fresh.filter((e) => !wanted.includes(e)));
    const cover = Math.max(coverLeast, coverTimes * wanted.length) - wanted.length;
    return shuffle([...wanted, ...others.slice(0, cover)].map((e) => e.key));
  }

  async #get(peer: string, keys: Key[]): Promise<void> {
    for (let at = 0; at < keys.length; at += mostKeys) {
      const answer = await this.#net.ask(peer, protocols.get, encodeGetRequest(keys.slice(at, at + mostKeys)), mostGot);
      for (const data of readGot(answer)) {
        const got = this.#check(data);
        if (got === "reject") throw new BadMail("a peer gave what is no mail");
        if (typeof got === "object") this.#take(got);
      }
    }
  }
}

export function topicOf(shard: number): string {
  return `souk/mail/${shard}`;
}

/** A random number below n, of those that nobody can foresee. */
export function draw(n: number): number {
  return (crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) % n;
}

/** The same in another order. */
export function shuffle<T>(list: readonly T[]): T[] {
  const all = [...list];
  for (let i = all.length - 1; i > 0; i--) {
    const k = draw(i + 1);
    [all[i], all[k]] = [all[k] as T, all[i] as T];
  }
  return all;
}
