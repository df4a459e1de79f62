import { expect, test } from "vitest";
import { hex } from "../souk/bytes.ts";
import { Random } from "../souk/testing.ts";
import { memoryBook, type Book } from "./book.ts";
import { cardText, readCardText } from "./card.ts";
import { Carrier } from "./carrier.ts";
import { kindHello, kindTagged, readEnvelope } from "./envelope.ts";
import { agreementOf, identityOf, newAgreement, newIdentity, type KeptKeys } from "./keys.ts";
import { Mailbox } from "./mailbox.ts";
import type { Ways } from "./outbox.ts";
import { mint } from "./stamp.ts";
import { Field } from "./testing.ts";
import { readGot, readList, readSums } from "./wire.ts";

const price = { perByte: 1, extra: 0, hello: 2 };
const minute = 60_000;
const hour = 60 * minute;

/** Somebody with a mailbox. Time goes on when it is told to. */
class Someone {
  static now = 500_000 * hour;
  box!: Mailbox;
  carrier!: Carrier;
  readonly book: Book = memoryBook();
  #keys: KeptKeys | undefined;
  #ways!: Ways;

  async come(field: Field): Promise<this> {
    this.#keys ??= { identity: await newIdentity(), key: await newAgreement() };
    const owner = { identity: identityOf(this.#keys.identity), key: agreementOf(this.#keys.key) };
    this.box = await Mailbox.open({ owner, book: this.book, now: () => Someone.now, again: () => this.carrier?.again() });
    this.carrier = new Carrier(field.net(), price, this.box, () => Someone.now);
    this.#ways = { price, stamp: async (id, target) => mint(id, target, 0, 1, 1e7) ?? 0n, send: (e, times) => this.carrier.send(e, times) };
    return this;
  }

  async listen(): Promise<this> {
    for (const shard of this.box.shards) this.carrier.listen(shard);
    await this.sync();
    return this;
  }

  async sync(): Promise<void> {
    expect(await this.carrier.sync()).toBe(1);
    await this.box.alone(async () => undefined);
  }

  async work(): Promise<void> {
    await this.box.outbox.work(this.#ways);
    await this.box.alone(async () => undefined);
  }

  letters(): string[] {
    return [...this.box.received.values()].map((r) => `${r.subject}: ${r.body}`).sort();
  }
  states(): string[] {
    return this.box.outbox.list().map((s) => s.state);
  }
}

/** Lets time go on, and everybody do what is due. */
async function pass(ms: number, ...all: Someone[]): Promise<void> {
  Someone.now += ms;
  for (let i = 0; i < 3; i++) for (const one of all) await one.work();
}

async function meet(from: Someone, to: Someone, replyTags = 1): Promise<number> {
  return from.box.add("friend", readCardText(cardText(await to.box.card(replyTags))));
}

test("a first letter, an answer and their receipts; then tags of the chain alone (O-24, O-25)", async () => {
  const field = new Field();
  const [alice, bob] = [await new Someone().come(field), await new Someone().come(field)];
  await Promise.all([alice.listen(), bob.listen()]);
  const to = await meet(alice, bob);
  await alice.box.send(to, "hello", "we have not met");
  await pass(0, alice, bob);
  expect(bob.letters()).toEqual(["hello: we have not met"]);
  expect(alice.states()).toEqual(["away"]);
  await pass(minute, bob, alice);
  expect(alice.states()).toEqual(["arrived"]);
  const [stranger] = [...bob.box.people.values()];
  expect(stranger).toMatchObject({ name: "", heard: true, identity: hex(alice.box.owner.identity.publicKey) });
  await bob.box.send(stranger?.who ?? 0, "re: hello", "now we have");
  await alice.box.send(to, "again", "under a tag");
  await pass(minute, bob, alice);
  await pass(minute, bob, alice);
  expect([alice.letters(), bob.letters()]).toEqual([["re: hello: now we have"], ["again: under a tag", "hello: we have not met"]]);
  expect([alice.states(), bob.states()]).toEqual([["arrived", "arrived"], ["arrived"]]);
  expect(field.kept.every((k) => readEnvelope(k.data).kind === kindTagged)).toBe(true);
});

test("a card without reply tags leads to a bucket, and who is away fetches what came (O-25, O-72)", async () => {
  const field = new Field();
  const [alice, bob] = [await new Someone().come(field), await new Someone().come(field)];
  await alice.listen();
  const to = await meet(alice, bob, 0);
  for (let i = 0; i < 3; i++) await alice.box.send(to, `${i}`, "x".repeat(i * 1_000));
  await pass(0, alice);
  expect(field.kept.map((k) => readEnvelope(k.data).kind)).toEqual([kindHello, kindHello, kindHello]);
  await bob.listen();
  expect(bob.letters().length).toBe(3);
  await pass(minute, bob, alice);
  expect(alice.states()).toEqual(["arrived", "arrived", "arrived"]);
  await bob.sync();
  expect(bob.letters().length).toBe(3);
});

test("what is in the book is there the next time: letters, contacts, what is on its way", async () => {
  const field = new Field();
  const [alice, bob] = [await new Someone().come(field), await new Someone().come(field)];
  await Promise.all([alice.listen(), bob.listen()]);
  const to = await meet(alice, bob);
  field.silent = true;
  await alice.box.send(to, "one", "1");
  await pass(0, alice);
  await alice.come(field);
  await bob.come(field);
  expect(alice.states()).toEqual(["away"]);
  field.silent = false;
  await Promise.all([alice.listen(), bob.listen()]);
  await pass(minute, bob, alice);
  expect([bob.letters(), alice.states()]).toEqual([["one: 1"], ["arrived"]]);
  await bob.come(field);
  expect(bob.letters()).toEqual(["one: 1"]);
  await bob.box.remove([...bob.box.received.keys()][0] ?? "");
  await (await bob.come(field)).listen();
  expect([...bob.box.received.values()].filter((r) => !r.gone)).toEqual([]);
});

test("a letter that is lost is closed anew, with more work; one that nobody takes is given up (O-26, O-74)", async () => {
  const field = new Field();
  const [alice, bob] = [await new Someone().come(field), await new Someone().come(field)];
  await alice.listen();
  const to = await meet(alice, bob, 0);
  await alice.box.send(to, "lost", "");
  await pass(0, alice);
  const first = field.kept.length;
  field.kept.splice(0);
  await pass(60 * hour, alice);
  expect(field.kept.length).toBeGreaterThanOrEqual(first);
  await bob.listen();
  await pass(minute, bob, alice);
  expect([bob.letters(), alice.states()]).toEqual([["lost: "], ["arrived"]]);
  await alice.box.send(to, "in vain", "");
  await pass(0, alice);
  await pass(31 * 24 * hour, alice);
  expect(alice.states()).toEqual(["arrived", "givenUp"]);
});

test("who is blocked is not heard, who is not asked for is a stranger, and cards are checked", async () => {
  const field = new Field();
  const [alice, bob] = [await new Someone().come(field), await new Someone().come(field)];
  await Promise.all([alice.listen(), bob.listen()]);
  const to = await meet(alice, bob);
  await alice.box.send(to, "one", "");
  await pass(0, alice, bob);
  const who = [...bob.box.people.keys()][0] ?? 0;
  await bob.box.block(who, true);
  await alice.box.send(to, "two", "");
  await pass(minute, alice, bob);
  expect(bob.letters()).toEqual(["one: "]);
  await expect(bob.box.send(who, "x", "y")).rejects.toThrow(/blocked/);
  const mine = await alice.box.card(0);
  await expect(alice.box.add("me", mine)).rejects.toThrow(/your own/);
  await expect(bob.box.add("", mine)).rejects.toThrow(/name/);
  await expect(bob.box.add("old", { ...mine, until: 1 })).rejects.toThrow(/expired/);
  await expect(alice.box.send(to, "x".repeat(201), "")).rejects.toThrow(/subject/);
  await expect(alice.box.send(to, "x", "y".repeat(17_000))).rejects.toThrow(/too long/);
});

test("of foreign mail nothing is read, and bad mail is refused (O-10)", async () => {
  const field = new Field();
  const [alice, bob, carol] = [await new Someone().come(field), await new Someone().come(field), await new Someone().come(field)];
  await Promise.all([alice.listen(), bob.listen()]);
  for (let shard = 0; shard < 16; shard++) carol.carrier.listen(shard);
  await alice.box.send(await meet(alice, bob), "for bob", "");
  await pass(0, alice);
  expect(carol.letters()).toEqual([]);
  const [sent] = field.kept;
  if (!sent) throw new Error("nothing was sent");
  const bad = sent.data.slice();
  bad[100] = (bad[100] ?? 0) ^ 1;
  field.carry(`souk/mail/${bad[2]}`, bad);
  field.carry(`souk/mail/${((bad[2] ?? 0) + 1) % 16}`, sent.data);
  expect(carol.carrier.dropped).toMatchObject({ stamp: 1 });
});

test("answers that are none are refused (O-71)", () => {
  const random = new Random(3);
  const key = { hour: 5, tag: new Uint8Array(16), id: new Uint8Array(16) };
  for (let i = 0; i < 300; i++) {
    const bytes = random.bytes(random.below(120));
    for (const read of [() => readSums(bytes, 3), () => readList(bytes, key), () => readGot(bytes)]) {
      try {
        read();
      } catch (error) {
        expect(error).toHaveProperty("name", expect.stringMatching(/^Bad(Mail|Bytes)$/));
      }
    }
  }
});
