/** What is to be sent: numbered, closed, stamped, published, and again until there is a receipt (O-22 to O-26, O-73). */
import { draw } from "./carrier.ts";
import type { Card } from "./card.ts";
import { bucketTag, idOf, kindHello, kindTagged, putStamp, readEnvelope, type Address } from "./envelope.ts";
import { BadMail, sizes } from "./form.ts";
import { encodeLetter, receipt, written } from "./letter.ts";
import { letterOf, type Known, type Mailbox } from "./mailbox.ts";
import { release, take } from "./pair.ts";
import { names, type Sent } from "./records.ts";
import { overhead, seal } from "./seal.ts";
import { targetOf, workOf, type Price } from "./stamp.ts";

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
/** After how long an envelope is published again, for the first times; later it is the last. */
const again = [10 * minute, hour, 6 * hour, 12 * hour];
/** A letter without a receipt is given up, and what is known of others is forgotten. */
const giveUp = 30 * day;
const keepSent = 90 * day;
/** Each new envelope of a letter has twice the work, so many times (O-26). */
const mostDoubled = 4;

/** What sends: see Carrier and findStamp. */
export interface Ways {
  price: Price;
  stamp(id: Uint8Array, target: bigint): Promise<bigint>;
  send(envelope: Uint8Array, times: number): Promise<void>;
}

export class Outbox {
  readonly #mailbox: Mailbox;
  readonly #all = new Map<string, Sent>();
  #working: Promise<void> | undefined;

  constructor(mailbox: Mailbox) {
    this.#mailbox = mailbox;
  }

  /** All letters, the latest last. */
  list(): Sent[] {
    return [...this.#all.values()].filter((s) => s.kind === written).sort((a, b) => a.at - b.at);
  }

  find(kind: number, to: number, id: string): Sent | undefined {
    return this.#all.get(names.sent({ kind, to, id }));
  }

  /** Takes a record that is kept. */
  load(s: Sent): void {
    this.#all.set(names.sent(s), s);
    const c = this.#mailbox.people.get(s.to);
    if (c && s.kind === written && s.number !== undefined && (s.state === "waiting" || s.state === "away")) this.#mailbox.expectReceipt(c, s.number);
  }

  /** A receipt to be sent, unless it is on its way. */
  receipt(s: Sent): Sent | undefined {
    return this.#all.has(names.sent(s)) ? undefined : s;
  }

  /** Forgets what goes to somebody; answers what it was. */
  forget(who: number): Sent[] {
    const theirs = [...this.#all.values()].filter((s) => s.to === who);
    for (const s of theirs) this.#all.delete(names.sent(s));
    return theirs;
  }

  /** Letters that waited for a number may go. */
  numbersFree(who: number): void {
    for (const s of this.#all.values()) if (s.to === who && s.kind === written && s.number === undefined) s.next = 0;
  }

  /** Throws BadMail for a letter that fits no envelope together with a card. */
  fits(s: Sent, card: Card): void {
    if (encodeLetter(letterOf(s, card)).length + overhead > sizes[2]) throw new BadMail("the letter is too long");
  }

  /** When something is to be done, ms; never while nothing is. */
  get next(): number {
    return Math.min(Infinity, ...Array.from(this.#all.values(), (s) => s.next));
  }

  /** Does what is due, one after the other. It may be called again meanwhile. */
  work(ways: Ways): Promise<void> {
    this.#working ??= this.#work(ways).finally(() => (this.#working = undefined));
    return this.#working;
  }

  async #work(ways: Ways): Promise<void> {
    for (;;) {
      const due = [...this.#all.values()].filter((s) => s.next <= this.#mailbox.now()).sort((a, b) => a.next - b.next);
      const [first] = due;
      if (!first) return;
      first.next = this.#mailbox.now() + minute; // if anything goes wrong
      try {
        await this.#advance(first, ways);
      } catch (error) {
        if (!(error instanceof BadMail)) throw error;
        first.next = this.#mailbox.now() + hour;
      }
      this.#mailbox.changed();
    }
  }

  async #advance(s: Sent, ways: Ways): Promise<void> {
    const m = this.#mailbox;
    const age = m.now() - s.at;
    const done = s.state === "arrived" || s.state === "givenUp";
    if (done || (s.kind === receipt && s.envelope && s.expiry <= m.hour())) return m.alone(() => this.#end(s, age));
    if (s.kind === written && age > giveUp) return m.alone(() => this.#drop(s));
    if (!s.envelope || s.expiry <= m.hour()) {
      const data = await m.alone(() => this.#close(s));
      if (data) await this.#stamp(s, data, ways);
      return;
    }
    s.tries++;
    const pause = again[Math.min(s.tries, again.length) - 1] ?? day;
    s.next = m.now() + pause / 2 + draw(pause);
    s.state = "away";
    await m.save(s);
    await ways.send(s.envelope, s.tries);
  }

  /** Forgets a record whose time is over. */
  async #end(s: Sent, age: number): Promise<void> {
    if (s.kind === written && age < keepSent) {
      s.next = s.at + keepSent;
      return this.#mailbox.save(s);
    }
    this.#all.delete(names.sent(s));
    await this.#mailbox.book.write({ [names.sent(s)]: undefined });
  }

  /** Gives a letter up, and its number back. */
  async #drop(s: Sent): Promise<void> {
    const c = this.#mailbox.people.get(s.to);
    Object.assign(s, { state: "givenUp", next: s.at + keepSent });
    delete s.envelope;
    if (c && s.number !== undefined) {
      release(c.out, s.number);
      this.#mailbox.expectReceipt(c, s.number, false);
    }
    await this.#mailbox.save(s, c);
  }

  /** Makes an envelope without a stamp; none as long as there is no number. */
  async #close(s: Sent): Promise<Uint8Array | undefined> {
    const m = this.#mailbox;
    const c = m.people.get(s.to);
    if (!c || c.parsed.until <= m.hour()) throw new BadMail("the card has expired");
    const to = { identity: c.parsed.identity, key: c.parsed.key };
    const expiry = m.hour() + 50 + draw(10); // O-12, O-32
    const shard = c.parsed.shards[draw(c.parsed.shards.length)] ?? 0;
    if (s.kind === receipt) {
      return seal(m.owner, to, { kind: kindTagged, shard, tag: c.pair.outReceipt(s.number ?? 0) }, expiry, letterOf(s));
    }
    if (s.number === undefined) {
      const n = take(c.out);
      if (n === undefined) {
        s.next = m.now() + hour; // or when a receipt comes
        return undefined;
      }
      s.number = n;
      m.expectReceipt(c, n);
    }
    const at = this.#address(c, s, shard);
    s.closed++;
    const card = c.heard && at.kind === kindTagged ? undefined : await m.ownCard(); // he may have it
    const data = await seal(m.owner, to, at, expiry, letterOf(s, card));
    await m.save(s, c);
    return data;
  }

  /** What a letter's envelope shows (O-25, O-26). */
  #address(c: Known, s: Sent, shard: number): Address {
    if (c.heard && s.closed % 3 !== 2) return { kind: kindTagged, shard, tag: c.pair.outTag(s.number ?? 0) };
    const reply = c.parsed.tags[c.usedTags];
    if (!c.heard && s.closed === 0 && reply) {
      c.usedTags++;
      return { kind: kindTagged, shard, tag: reply };
    }
    return { kind: kindHello, shard, tag: bucketTag(c.parsed.bucket) };
  }

  /** Finds a stamp for an envelope, which is then published. */
  async #stamp(s: Sent, data: Uint8Array, ways: Ways): Promise<void> {
    const m = this.#mailbox;
    const e = readEnvelope(data);
    const work = workOf(ways.price, data.length, e.expiry - m.hour() + 1, e.kind) << BigInt(Math.min(Math.max(s.closed - 1, 0), mostDoubled));
    putStamp(data, await ways.stamp(idOf(data), targetOf(work)));
    await m.alone(async () => {
      if (s.state === "arrived") return;
      Object.assign(s, { envelope: data, expiry: e.expiry, tries: 0, next: m.now() });
      await m.save(s);
    });
  }
}
