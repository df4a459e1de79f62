/**
 * A mailbox: contacts, letters that came, letters on their way. It decides what is written to whom
 * under which tag (O-20 to O-26), and leaves carrying to a carrier. One thing happens after the other.
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { concat, equal, fromHex, hex } from "../souk/bytes.ts";
import type { Book } from "./book.ts";
import { encodeCard, makeCard, readCard, type Card } from "./card.ts";
import { draw, type Box } from "./carrier.ts";
import { kindHello, type Envelope } from "./envelope.ts";
import { BadMail, Unreadable, buckets, hourOf, shards } from "./form.ts";
import type { Owner } from "./keys.ts";
import { receipt, written, type Letter } from "./letter.ts";
import { Outbox } from "./outbox.ts";
import { Pair, acknowledge, range } from "./pair.ts";
import { names, newId, type Contact, type OwnRecord, type Received, type Sent } from "./records.ts";
import { open, type Opened } from "./seal.ts";
import { coreMail } from "./text.ts";

/** How long a card is good, in hours. */
const cardFor = 365 * 24;
/** Strangers that are remembered; the one silent for longest makes room (O-74). */
const mostStrangers = 1000;
/** Shards that are listened to besides the mailbox's own (O-70). */
const coverShards = 2;
/** A receipt waits up to so long, ms (O-74). */
const receiptDelay = 10_000;

/** What a tag that is looked for was given out for. */
interface Expected {
  use: "letter" | "receipt" | "reply";
  who: number;
  number: number;
}

/** A contact, and what is made of his card. */
export interface Known extends Contact {
  parsed: Card;
  pair: Pair;
}

export interface MailboxOptions {
  owner: Owner;
  book: Book;
  now?: () => number;
  /** Something has changed. */
  changed?: () => void;
  /** A letter came. */
  heard?: (letter: Received) => void;
  /** Something else is looked for than before. */
  again?: () => void;
}

export class Mailbox implements Box {
  readonly owner: Owner;
  readonly book: Book;
  readonly now: () => number;
  readonly outbox: Outbox;
  own: OwnRecord;
  readonly people = new Map<number, Known>();
  readonly received = new Map<string, Received>();
  readonly #table = new Map<string, Expected>();
  readonly #options: MailboxOptions;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(options: MailboxOptions) {
    this.#options = options;
    this.owner = options.owner;
    this.book = options.book;
    this.now = options.now ?? Date.now;
    this.outbox = new Outbox(this);
    this.own = { shards: [draw(shards)], bucket: draw(buckets), cover: [draw(shards), draw(shards)].slice(0, coverShards), tags: [], last: 0 };
  }

  /** Opens the mailbox that a book keeps, or begins one. */
  static async open(options: MailboxOptions): Promise<Mailbox> {
    const m = new Mailbox(options);
    const own = (await m.book.all<OwnRecord>(names.own)).get(names.own);
    if (own) m.own = own;
    else await m.book.write({ [names.own]: m.own });
    for (const tag of m.own.tags) m.#expect(tag, { use: "reply", who: 0, number: 0 });
    for (const c of (await m.book.all<Contact>("contact/")).values()) await m.#know(c);
    for (const r of (await m.book.all<Received>("in/")).values()) m.received.set(r.id, r);
    for (const s of (await m.book.all<Sent>("out/")).values()) m.outbox.load(s);
    return m;
  }

  /** One thing after the other: whoever looks sees no half of a change. */
  alone<T>(run: () => Promise<T>): Promise<T> {
    const next = this.#last.then(run, run);
    this.#last = next.catch(() => undefined);
    return next;
  }

  changed(): void {
    this.#options.changed?.();
  }

  hour(): number {
    return hourOf(this.now());
  }

  /** All shards that its mail may take, and the others that hide which these are. */
  get shards(): number[] {
    return [...new Set([...this.own.shards, ...this.own.cover])];
  }

  /** Makes a card to give away: each of its reply tags lets one person write a first letter that goes to no bucket. */
  card(replyTags: number): Promise<Card> {
    return this.alone(async () => {
      const tags = Array.from({ length: replyTags }, () => crypto.getRandomValues(new Uint8Array(16)));
      for (const tag of tags) this.#expect(tag, { use: "reply", who: 0, number: 0 });
      if (tags.length > 0) {
        this.own.tags.push(...tags);
        await this.book.write({ [names.own]: this.own });
      }
      return this.ownCard(tags);
    });
  }

  ownCard(tags: Uint8Array[] = []): Promise<Card> {
    return makeCard(this.owner, { shards: this.own.shards, bucket: this.own.bucket, tags, made: this.now(), until: this.hour() + cardFor });
  }

  /** Puts somebody into the address book, or gives him a name or a later card. */
  add(name: string, card: Card): Promise<number> {
    return this.alone(async () => {
      const same = [...this.people.values()].find((c) => equal(c.parsed.key, card.key));
      const named = [...this.people.values()].find((c) => c.name === name);
      if (card.until <= this.hour()) throw new BadMail(coreMail.expired);
      if (equal(card.key, this.owner.key.publicKey)) throw new BadMail(coreMail.own);
      if (name === "" || [...name].length > 100 || (named && named !== same)) throw new BadMail(coreMail.name);
      if (same && !equal(same.parsed.identity, card.identity)) throw new BadMail(coreMail.claimed);
      const c = same ?? (await this.#meet(card, name));
      c.name = name;
      this.#renew(c, card);
      await this.book.write({ [names.contact(c)]: kept(c), [names.own]: this.own });
      this.changed();
      this.#options.again?.();
      return c.who;
    });
  }

  /** Has nothing from a contact looked for any more, or again. */
  block(who: number, blocked: boolean): Promise<void> {
    return this.alone(async () => {
      const c = this.people.get(who);
      if (!c) throw new BadMail(coreMail.nobody);
      c.blocked = blocked;
      this.#expectLetters(c, !blocked);
      await this.book.write({ [names.contact(c)]: kept(c) });
      this.changed();
    });
  }

  /** Remembers that a letter was seen. */
  see(id: string): Promise<void> {
    return this.alone(async () => {
      const r = this.received.get(id);
      if (!r || r.seen) return;
      r.seen = true;
      await this.book.write({ [names.received(r)]: r });
      this.changed();
    });
  }

  /** Forgets a letter that came. What remains is that it came, for it may come again. */
  remove(id: string): Promise<void> {
    return this.alone(async () => {
      const r = this.received.get(id);
      if (!r) return;
      Object.assign(r, { gone: true, subject: "", body: "", from: "" });
      await this.book.write({ [names.received(r)]: r });
      this.changed();
    });
  }

  /** Whether an envelope may be for it. */
  wants(kind: number, tag: Uint8Array): boolean {
    return kind === kindHello ? tag[0] === this.own.bucket : this.#table.has(hex(tag));
  }

  /** Reads an envelope if it is for this mailbox. What is and is not as it must be, is dropped. */
  receive(e: Envelope): Promise<void> {
    if (!this.wants(e.kind, e.tag)) return Promise.resolve();
    return this.alone(async () => {
      try {
        await this.#open(e);
      } catch (error) {
        if (!(error instanceof BadMail || error instanceof Unreadable)) throw error;
      }
    });
  }

  async #open(e: Envelope): Promise<void> {
    const tag = hex(e.tag);
    const expected = e.kind === kindHello ? undefined : this.#table.get(tag);
    if (e.kind !== kindHello && !expected) return;
    const o = await open(this.owner, e);
    if (!expected || expected.use === "reply") {
      if (expected) this.#useReply(tag);
      return this.#first(o);
    }
    const c = this.people.get(expected.who);
    if (!c || !equal(o.from.key, c.parsed.key) || !equal(o.from.identity, c.parsed.identity) || o.letter.number !== expected.number) {
      throw new BadMail("a letter under somebody else's tag");
    }
    await (expected.use === "receipt" ? this.#arrived(c, o.letter) : this.#letter(c, o.letter));
  }

  #useReply(tag: string): void {
    this.#table.delete(tag);
    this.own.tags = this.own.tags.filter((t) => hex(t) !== tag);
  }

  /** Takes a letter that came without tags of the chain (O-25). */
  async #first(o: Opened): Promise<void> {
    const known = [...this.people.values()].find((c) => equal(c.parsed.key, o.from.key));
    const { card } = o.letter;
    if (known) {
      if (!equal(known.parsed.identity, o.from.identity) || known.blocked) return;
      return this.#letter(known, o.letter);
    }
    if (!card || !equal(card.identity, o.from.identity) || !equal(card.key, o.from.key)) return; // nobody could be answered
    await this.#roomForStranger();
    await this.#letter(await this.#meet(card, ""), o.letter);
  }

  async #roomForStranger(): Promise<void> {
    const strangers = [...this.people.values()].filter((c) => c.name === "" && !c.blocked).sort((a, b) => a.latest - b.latest);
    const [oldest] = strangers;
    if (!oldest || strangers.length < mostStrangers) return;
    this.#expectLetters(oldest, false);
    this.people.delete(oldest.who);
    const gone = Object.fromEntries(this.outbox.forget(oldest.who).map((s) => [names.sent(s), undefined]));
    await this.book.write({ ...gone, [names.contact(oldest)]: undefined });
  }

  /** Takes a contact's letter, and has a receipt written; again if it came again. */
  async #letter(c: Known, l: Letter): Promise<void> {
    if (l.kind !== written) throw new BadMail("a receipt under a letter's tag");
    const now = this.now();
    Object.assign(c, { heard: true, latest: now });
    if (l.card && equal(l.card.identity, c.parsed.identity) && equal(l.card.key, c.parsed.key)) this.#renew(c, l.card);
    this.#slide(c, l.number);
    const id = hex(sha256(concat(c.parsed.identity, l.id))).slice(0, 32);
    const fresh: Received | undefined = this.received.has(id)
      ? undefined
      : { id, who: c.who, from: c.identity, sent: l.sent, at: now, subject: l.subject, body: new TextDecoder().decode(l.body), seen: false };
    const answer = this.outbox.receipt({
      id: hex(l.id), kind: receipt, to: c.who, subject: "", body: "", at: now, state: "waiting", delivered: 0, number: l.number, closed: 0, expiry: 0, tries: 0,
      next: now + draw(receiptDelay),
    });
    await this.book.write({
      [names.contact(c)]: kept(c), [names.own]: this.own,
      ...(fresh ? { [names.received(fresh)]: fresh } : {}), ...(answer ? { [names.sent(answer)]: answer } : {}),
    });
    if (answer) this.outbox.load(answer);
    if (fresh) {
      this.received.set(id, fresh);
      this.#options.heard?.(fresh);
    }
    this.changed();
  }

  /** Takes a receipt (O-24). */
  async #arrived(c: Known, l: Letter): Promise<void> {
    const s = this.outbox.find(written, c.who, hex(l.id));
    if (l.kind !== receipt || !s || s.number !== l.number) throw new BadMail("a receipt for no letter");
    if (s.state === "arrived") return;
    acknowledge(c.out, l.number);
    Object.assign(c, { heard: true, latest: this.now() });
    Object.assign(s, { state: "arrived", delivered: this.now() });
    delete s.envelope;
    this.#table.delete(hex(c.pair.inReceipt(l.number)));
    this.outbox.numbersFree(c.who);
    await this.book.write({ [names.contact(c)]: kept(c), [names.sent(s)]: s });
    this.changed();
  }

  /** Looks for the receipt of a letter. */
  expectReceipt(c: Known, number: number, looks = true): void {
    const tag = c.pair.inReceipt(number);
    if (looks) this.#expect(tag, { use: "receipt", who: c.who, number });
    else this.#table.delete(hex(tag));
  }

  #expect(tag: Uint8Array, e: Expected): void {
    this.#table.set(hex(tag), e);
  }

  #expectLetters(c: Known, looks: boolean): void {
    const { from, to } = range(c.next);
    for (let n = from; n < to; n++) {
      if (looks) this.#expect(c.pair.inTag(n), { use: "letter", who: c.who, number: n });
      else this.#table.delete(hex(c.pair.inTag(n)));
    }
  }

  /** Moves a contact's window. A first letter may have a number that it does not reach: then it begins there. */
  #slide(c: Known, n: number): void {
    if (n < c.next) return;
    this.#expectLetters(c, false);
    c.next = n + 1;
    this.#expectLetters(c, true);
  }

  #renew(c: Known, card: Card): void {
    if (card.made <= c.parsed.made) return;
    Object.assign(c, { parsed: card, card: encodeCard(card), usedTags: 0 });
  }

  async #meet(card: Card, name: string): Promise<Known> {
    this.own.last++;
    return this.#know({
      who: this.own.last, name, card: encodeCard(card), identity: hex(card.identity), out: { base: 0, busy: [], acked: [] },
      next: 0, heard: false, latest: this.now(), usedTags: 0, blocked: false,
    });
  }

  async #know(contact: Contact): Promise<Known> {
    const parsed = readCard(contact.card);
    const c = { ...contact, parsed, pair: await Pair.of(this.owner.key, parsed.key) };
    this.people.set(c.who, c);
    if (!c.blocked) this.#expectLetters(c, true);
    return c;
  }

  /** Writes a letter to a contact. When it returns, the letter is kept, and sent until there is a receipt. */
  send(to: number, subject: string, body: string): Promise<string> {
    return this.alone(async () => {
      const c = this.people.get(to);
      if (!c) throw new BadMail(coreMail.nobody);
      if (c.blocked) throw new BadMail(coreMail.blockedContact);
      const now = this.now();
      const s: Sent = { id: newId(), kind: written, to, subject, body, at: now, state: "waiting", delivered: 0, closed: 0, expiry: 0, tries: 0, next: now };
      this.outbox.fits(s, await this.ownCard());
      await this.book.write({ [names.sent(s)]: s });
      this.outbox.load(s);
      this.changed();
      return s.id;
    });
  }

  /** Writes records of contacts and letters. */
  save(s: Sent, c?: Known): Promise<void> {
    return this.book.write({ [names.sent(s)]: s, ...(c ? { [names.contact(c)]: kept(c) } : {}) });
  }
}

/** What of a contact is kept. */
function kept({ parsed: _, pair: __, ...contact }: Known): Contact {
  return contact;
}

/** The letter of a record. */
export function letterOf(s: Sent, card?: Card): Letter {
  return {
    kind: s.kind === receipt ? receipt : written, id: fromHex(s.id), number: s.number ?? 0, sent: s.at, subject: s.subject,
    body: new TextEncoder().encode(s.body), ...(card ? { card } : {}),
  };
}
