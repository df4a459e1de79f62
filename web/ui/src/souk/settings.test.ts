import { expect, test } from "vitest";
import { BadBytes, concat, fromHex, Writer } from "./bytes.ts";
import { noSettings, parseSettings } from "./settings.ts";

const out = (n: number) => fromHex("0014" + n.toString(16).padStart(2, "0").repeat(20));
const rules = (delay: bigint, only: boolean, outs: [number, Uint8Array][]) => {
  const w = new Writer().u64(delay).flag(only).u8(outs.length);
  for (const [bank, o] of outs) w.u32(bank).bytes8(o, 64);
  return w.done();
};
const salt = new Uint8Array(16).fill(9);
const leaf = (now: Uint8Array, from: bigint, next: Uint8Array, rest = fromHex("0000")) => concat(now, new Writer().u64(from).done(), next, salt, rest);
const none = rules(0n, false, []);

test("Y-92: settings in force and to come", () => {
  const paid = concat(Uint8Array.of(1), new Uint8Array(24), Uint8Array.of(2), new Uint8Array(40));
  expect(parseSettings(leaf(rules(3_600_000n, true, [[1, out(1)], [1, out(2)], [2, out(1)]]), 5000n, none, paid))).toEqual({
    now: { delay: 3_600_000, only: true, allowed: [{ bank: 1, output: out(1) }, { bank: 1, output: out(2) }, { bank: 2, output: out(1) }] },
    next: { rules: noSettings.now, from: 5000 },
  });
  expect(parseSettings(leaf(none, 0n, none))).toEqual(noSettings);
});

test("nothing else is read", () => {
  const good = leaf(none, 0n, none);
  for (const bad of [
    good.slice(1), concat(good, Uint8Array.of(0)), leaf(rules(31n * 86_400_000n, false, []), 0n, none), leaf(rules(0n, false, [[1, out(2)], [1, out(1)]]), 0n, none),
    leaf(rules(0n, false, [[1, out(1)], [1, out(1)]]), 0n, none), leaf(none, 1n << 60n, none), leaf(rules(0n, false, Array.from({ length: 17 }, (_, i) => [1, out(i)])), 0n, none),
    new Uint8Array(),
  ]) expect(() => parseSettings(bad)).toThrow(BadBytes);
});
