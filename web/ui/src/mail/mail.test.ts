import { ed25519, x25519 } from "@noble/curves/ed25519.js";
import { expect, test } from "vitest";
import { equal, fromHex, hex } from "../souk/bytes.ts";
import { Random, vectors } from "../souk/testing.ts";
import { cardText, encodeCard, readCard, readCardText } from "./card.ts";
import { bucketTag, check, idOf, kindTagged, putStamp, readEnvelope } from "./envelope.ts";
import { BadMail, Unreadable } from "./form.ts";
import { agreementOf, checkKey, identityOf, newAgreement, newIdentity, passing, type Owner } from "./keys.ts";
import { readLetter, written, type Letter } from "./letter.ts";
import { List, marketList } from "./list.ts";
import { Pair, acknowledge, range, release, take } from "./pair.ts";
import { open, seal } from "./seal.ts";
import { mint, stamped, targetOf, workOf } from "./stamp.ts";

interface EnvelopeVector {
  From: string;
  To: string;
  Ephemeral: string;
  Letter: string;
  Envelope: string;
  ID: string;
}
interface Vectors {
  Identity: Record<string, string>;
  Keys: Record<string, string>;
  Card: string;
  Tags: { From: string; To: string; Number: number; Letter: string; Receipt: string }[];
  Lists: { Name: string; Shard: number; Expiry: number; Tag: string }[];
  Stamps: { Size: number; Left: number; Kind: number; Work: number; Target: number }[];
  Letter: EnvelopeVector;
  Hello: EnvelopeVector;
  Post: EnvelopeVector;
}
const v = vectors<Vectors>("docs/spec/vectors/mail.json");
const price = { perByte: 48, extra: 1000, hello: 16 };
const cheap = { perByte: 1, extra: 0, hello: 2 };

function owner(name: string): Owner {
  const [seed, key] = [fromHex(v.Identity[name] ?? ""), fromHex(v.Keys[name] ?? "")];
  return {
    identity: identityOf({ publicKey: ed25519.getPublicKey(seed), seed }),
    key: agreementOf({ publicKey: x25519.getPublicKey(key), seed: key }),
  };
}
const person = (o: Owner) => ({ identity: o.identity.publicKey, key: o.key.publicKey });
const [alice, bob] = [owner("alice"), owner("bob")];
const letter = (body: string): Letter => ({ kind: written, id: new Uint8Array(16).fill(7), number: 3, sent: 1_700_000_000_000, subject: "about", body: new TextEncoder().encode(body) });

test("cards are those of the specification, and none that is changed is read (O-20, O-50)", () => {
  const card = readCardText(v.Card);
  expect(equal(card.identity, alice.identity.publicKey) && equal(card.key, alice.key.publicKey)).toBe(true);
  expect(cardText(card)).toBe(v.Card);
  expect(cardText(readCardText(` ${v.Card.slice(0, 30)}\r\n  ${v.Card.slice(30)}\n`))).toBe(v.Card);
  const bytes = encodeCard(card);
  for (let i = 0; i < bytes.length; i += 7) {
    expect(() => readCard(bytes.slice(0, i))).toThrow(BadMail);
    expect(() => readCard(bytes.map((b, j) => (j === i ? b ^ 1 : b)))).toThrow(BadMail);
  }
  for (const text of ["", v.Card.slice(1), `${v.Card}=`, `${v.Card}A`, "x".repeat(5000)]) expect(() => readCardText(text)).toThrow(BadMail);
});

test("tags, lists and work are those of the specification (O-11, O-21, O-40, O-41)", async () => {
  for (const t of v.Tags) {
    const pair = await Pair.of(owner(t.From).key, owner(t.To).key.publicKey);
    const other = await Pair.of(owner(t.To).key, owner(t.From).key.publicKey);
    expect([hex(pair.outTag(t.Number)), hex(pair.inReceipt(t.Number))]).toEqual([t.Letter, t.Receipt]);
    expect([hex(other.inTag(t.Number)), hex(other.outReceipt(t.Number))]).toEqual([t.Letter, t.Receipt]);
  }
  for (const l of v.Lists) expect([new List(l.Name).shard, hex(new List(l.Name).tag(l.Expiry))]).toEqual([l.Shard, l.Tag]);
  expect(marketList("BTC", new Uint8Array(32).fill(2), new Uint8Array(32).fill(1))).toBe(`souk/market/v1/BTC/${"01".repeat(32)}/${"02".repeat(32)}`);
  for (const s of v.Stamps) {
    expect(workOf(price, s.Size, s.Left, s.Kind)).toBe(BigInt(s.Work));
    expect(Number(targetOf(BigInt(s.Work)))).toBe(s.Target);
  }
});

test("envelopes are those of the specification, both ways (O-30, O-31, O-42)", async () => {
  for (const e of [v.Letter, v.Hello, v.Post]) {
    const bytes = fromHex(e.Envelope);
    const read = readEnvelope(bytes);
    const text = readLetter(fromHex(e.Letter));
    expect(hex(idOf(bytes))).toBe(e.ID);
    const list = e === v.Post ? new List(e.To) : undefined;
    const once = passing(fromHex(e.Ephemeral));
    const made = list ? await list.post(alice, read.expiry, text, once) : await seal(alice, person(bob), read, read.expiry, text, once);
    expect(hex(made)).toBe(e.Envelope);
    const opened = list ? list.open(read) : await open(bob, read);
    expect(opened).toEqual({ from: person(alice), letter: text });
    if (!list) await expect(open(alice, read)).rejects.toThrow(Unreadable);
  }
});

test("an envelope that was changed anywhere does not open (O-33)", async () => {
  const bytes = fromHex(v.Letter.Envelope);
  const random = new Random(1);
  for (const i of [1, 2, 3, 20, 52, 60, 200, 700, ...Array.from({ length: 20 }, () => random.below(bytes.length - 8))]) {
    const changed = bytes.map((b, j) => (j === i ? b ^ 1 : b));
    await expect((async () => open(bob, readEnvelope(changed)))()).rejects.toThrow();
  }
});

test("keys that the browser keeps to itself do what others do", async () => {
  const mine: Owner = { identity: identityOf(await newIdentity()), key: agreementOf(await newAgreement()) };
  const at = { kind: kindTagged, shard: 3, tag: bucketTag(9) } as const;
  const there = readEnvelope(await seal(mine, person(bob), at, 500_000, letter("to bob")));
  expect(new TextDecoder().decode((await open(bob, there)).letter.body)).toBe("to bob");
  const back = readEnvelope(await seal(bob, person(mine), at, 500_000, letter("x".repeat(9_000))));
  expect((await open(mine, back)).letter.body.length).toBe(9_000);
  await expect(seal(bob, person(mine), at, 500_000, letter("x".repeat(16_300)))).rejects.toThrow(BadMail);
});

test("keys of small order are refused (O-20)", () => {
  for (const bad of [new Uint8Array(32), Uint8Array.of(1, ...new Uint8Array(31)), new Uint8Array(32).fill(0xff), new Uint8Array(31)]) {
    expect(() => checkKey(bad)).toThrow(BadMail);
  }
  expect(() => checkKey(bob.key.publicKey)).not.toThrow();
});

test("envelopes are judged in the order of O-10", async () => {
  const now = 500_000;
  const bytes = await seal(alice, person(bob), { kind: kindTagged, shard: 3, tag: bucketTag(9) }, now + 50, letter("hello"));
  const target = targetOf(workOf(cheap, bytes.length, 50, kindTagged));
  const stamp = mint(idOf(bytes), target, 0, 1, 1_000_000);
  expect(stamp !== undefined && stamped(idOf(bytes), stamp, target)).toBe(true);
  const drop = (b: Uint8Array, hour = now, known = false) => {
    const got = check(b, hour, cheap, () => known);
    return "drop" in got ? got.drop : "kept";
  };
  putStamp(bytes, stamp ?? 0n);
  const bad = bytes.slice();
  bad[0] = 2;
  expect([drop(bytes), drop(bytes.subarray(1)), drop(bad), drop(bytes, now + 50), drop(bytes, now - 11), drop(bytes, now, true)])
    .toEqual(["kept", "size", "form", "expired", "future", "known"]);
  const [wrong] = [0n, 1n, 2n, 3n, 4n].filter((n) => !stamped(idOf(bytes), n, target));
  putStamp(bytes, wrong ?? 0n);
  expect(drop(bytes)).toBe("stamp");
});

test("no more letters are on their way than the reader looks for (O-22, O-23)", () => {
  const o = { base: 0, busy: [], acked: [] };
  for (let n = 0; n < 16; n++) expect(take(o)).toBe(n);
  expect(take(o)).toBe(undefined);
  acknowledge(o, 3);
  expect(take(o)).toBe(undefined);
  for (const n of [1, 2, 0, 0]) acknowledge(o, n);
  expect(o).toMatchObject({ base: 4, acked: [] });
  expect(take(o)).toBe(16);
  release(o, 5);
  expect(take(o)).toBe(5);
  expect([range(0), range(40)]).toEqual([{ from: 0, to: 16 }, { from: 24, to: 56 }]);
});
