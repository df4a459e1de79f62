import { ed25519 } from "@noble/curves/ed25519.js";
import { describe, expect, test } from "vitest";
import { kinds, sameBody } from "./body.ts";
import { concat, fromHex, hex } from "./bytes.ts";
import { BadCommand, commandId, commandOf, decodeCommand, decodeSignBytes, encodeCommand, finish, signBytes, signCommand } from "./command.ts";
import { Key } from "./keys.ts";
import { signRead } from "./read.ts";
import { Random, allKinds, randomBody, thrown, vectors } from "./testing.ts";

type Vector = { kind: string; seed: string; server: string; body: string; signBytes: string; id: string; command: string };
const all = vectors<Vector[]>("docs/spec/vectors/commands.json");

describe("the vectors of the specification (B-12)", () => {
  test("hold every kind that this page sends", () => {
    expect(all.filter((v) => v.kind in kinds)).toHaveLength(allKinds.length);
  });

  test.each(all.filter((v) => v.kind in kinds))("$kind", (v) => {
    const bytes = fromHex(v.command);
    const command = decodeCommand(bytes);
    expect(command.body.kind).toBe(v.kind);
    expect(hex(encodeCommand(command))).toBe(v.command);
    const toSign = signBytes(fromHex(v.server), command);
    expect(hex(toSign)).toBe(v.signBytes);
    expect(hex(commandId(toSign))).toBe(v.id);
    expect(ed25519.verify(command.signature, toSign, command.key)).toBe(true);
    const key = new Key(fromHex(v.seed));
    const { account, nonce, expiry, body } = command;
    const signed = signCommand(fromHex(v.server), key, { account, nonce, expiry, body });
    expect(hex(signed.bytes)).toBe(v.command);
    expect(hex(signed.id)).toBe(v.id);
  });

  test.each(all.filter((v) => !(v.kind in kinds)))("$kind is not for a trader", (v) => {
    expect(() => decodeCommand(fromHex(v.command))).toThrow(BadCommand);
  });
});

const key = new Key(new Uint8Array(32).fill(5));
const vsid = new Uint8Array(32).fill(9);

function command(r: Random, kind: (typeof allKinds)[number]) {
  return commandOf(key, { nonce: r.u64(), expiry: r.u64(), body: randomBody(r, kind) });
}

describe("any command", () => {
  test("is read again as it was written", () => {
    const r = new Random(3);
    for (const kind of allKinds) {
      for (let i = 0; i < 10; i++) {
        const c = command(r, kind);
        const read = decodeSignBytes(signBytes(vsid, c));
        expect(read.vsid).toEqual(vsid);
        expect(sameBody(read.command.body, c.body)).toBe(true);
        expect(read.command).toEqual(c);
      }
    }
  });

  test("that is cut short or goes on is refused, never misread", () => {
    const r = new Random(4);
    for (const kind of allKinds) {
      const bytes = signBytes(vsid, command(r, kind));
      for (let n = 0; n < bytes.length; n++) expect(thrown(() => decodeSignBytes(bytes.slice(0, n)))).toBeInstanceOf(BadCommand);
      expect(thrown(() => decodeSignBytes(concat(bytes, Uint8Array.of(0))))).toBeInstanceOf(BadCommand);
    }
  });

  test("that is changed is refused, or is the one encoding of another one", () => {
    const r = new Random(5);
    for (let i = 0; i < 1000; i++) {
      const bytes = signBytes(vsid, command(r, r.one(allKinds)));
      for (let n = r.below(4); n >= 0; n--) bytes[r.below(bytes.length)] = r.below(256);
      try {
        const read = decodeSignBytes(bytes);
        expect(hex(signBytes(read.vsid, read.command))).toBe(hex(bytes));
      } catch (error) {
        expect(error).toBeInstanceOf(BadCommand);
      }
    }
  });

  test("whose values do not fit is not made", () => {
    const draft = (body: Parameters<typeof signCommand>[2]["body"]) => () => signCommand(vsid, key, { nonce: 1n, expiry: 1n, body });
    const to = new Uint8Array(20);
    expect(draft({ kind: "transfer", to, asset: 1, amount: 1n << 64n, memo: "" })).toThrow(BadCommand);
    expect(draft({ kind: "transfer", to, asset: 1, amount: -1n, memo: "" })).toThrow(BadCommand);
    expect(draft({ kind: "transfer", to: to.slice(1), asset: 1, amount: 1n, memo: "" })).toThrow(BadCommand);
    expect(draft({ kind: "transfer", to, asset: 1.5, amount: 1n, memo: "" })).toThrow(BadCommand);
    expect(draft({ kind: "transfer", to, asset: 1, amount: 1n, memo: "x".repeat(129) })).toThrow(BadCommand);
    expect(draft({ kind: "transfer", to, asset: 1, amount: 1n, memo: "\ud800" })).toThrow(BadCommand);
    expect(draft({ kind: "cancel", target: { order: 1n, client: "x" } })).toThrow(BadCommand);
    expect(draft({ kind: "cancel", target: { order: 0n, client: "" } })).toThrow(BadCommand);
    expect(draft({ kind: "cancel", target: { order: 0n, client: "a b" } })).toThrow(BadCommand);
    expect(draft({ kind: "add-delegate", key: new Uint8Array(32), scopes: 2, expiry: 0n, markets: [2, 1] })).toThrow(BadCommand);
  });

  test("of another key is not signed", () => {
    const other = new Key(new Uint8Array(32).fill(6));
    const bytes = signBytes(vsid, commandOf(other, { nonce: 1n, expiry: 1n, body: { kind: "cancel-rotation" } }));
    expect(() => finish(bytes, key)).toThrow(BadCommand);
  });
});

test("signed reads are those of the vectors (H-21)", () => {
  type Read = { seed: string; server: string; address: string; time: number; method: string; target: string; token: string };
  for (const v of vectors<Read[]>("api/testdata/read.json")) {
    const owner = new Key(fromHex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"));
    expect(owner.name).toBe(v.address);
    const token = signRead(fromHex(v.server), new Key(fromHex(v.seed)), v.time, v.method, v.target, owner.address);
    expect(token).toBe(v.token);
  }
});
