import { expect, test } from "vitest";
import { parseAddress, parseBank, parseBatch, parseCoin, parseOutpoint, parseSeries } from "./bank.ts";
import { BadBytes, concat, fromBase64 } from "./bytes.ts";
import { parseAccount, parseAsset, parseClock, parseMarket, parseOrder, parseReceipt, parseTrade } from "./leaf.ts";
import { Random, thrown, vectors } from "./testing.ts";

type Proof = { leaf?: string; item?: string };
type World = { moments: { leaves: Record<string, Proof> }[]; results: { proof: Proof }[] };
const world = vectors<World>("web/ui/src/testdata/world.json");

const parsers: Readonly<Record<string, (value: Uint8Array) => unknown>> = {
  "01": parseClock, "02": (v) => parseAsset(1, v), "03": parseAccount, "04": (v) => parseMarket(1, v), "05": (v) => parseOrder(1n, v),
  "0c": (v) => parseBank(1, v), "0d": (v) => parseSeries(1, 0, v), "0e": parseAddress, "10": parseCoin, "12": (v) => parseBatch(1n, v),
};

const all = world.moments.flatMap((m) =>
  Object.entries(m.leaves).flatMap(([key, p]) => (p.leaf === undefined ? [] : [{ kind: key.slice(0, 2), value: fromBase64(p.leaf) }])),
);

test("every kind of leaf that the ledger wrote is read", () => {
  expect([...new Set(all.map((l) => l.kind))].sort()).toEqual(Object.keys(parsers).sort());
  for (const { kind, value } of all) expect(() => parsers[kind]?.(value)).not.toThrow();
});

test("a leaf that is cut short or goes on is refused", () => {
  for (const { kind, value } of all.filter((l) => l.kind !== "10")) {
    for (let n = 0; n < value.length; n += 7) expect(thrown(() => parsers[kind]?.(value.slice(0, n)))).toBeInstanceOf(BadBytes);
    expect(thrown(() => parsers[kind]?.(concat(value, Uint8Array.of(0))))).toBeInstanceOf(BadBytes);
  }
});

test("whatever bytes there are, they are read or refused, and nothing else happens", () => {
  const r = new Random(13);
  for (let i = 0; i < 3000; i++) {
    const { kind, value } = r.one(all);
    const forged = r.below(10) === 0 ? r.bytes(r.below(300)) : value.slice();
    for (let n = r.below(3); n >= 0 && forged.length > 0; n--) forged[r.below(forged.length)] = r.below(256);
    for (const parse of [parsers[kind], parseReceipt, parseTrade]) {
      try {
        parse?.(forged);
      } catch (error) {
        expect(error).toBeInstanceOf(BadBytes);
      }
    }
  }
});

test("results and outpoints are read as they are written", () => {
  const [receipt, trade] = world.results.map((x) => fromBase64(x.proof.item ?? ""));
  expect(parseReceipt(receipt!).code).toBe(0);
  expect(parseTrade(trade!).market).toBe(1);
  expect(thrown(() => parseTrade(receipt!))).toBeInstanceOf(BadBytes);
  expect(thrown(() => parseReceipt(trade!))).toBeInstanceOf(BadBytes);
  const at = parseOutpoint("01" + "00".repeat(31) + ":7");
  expect([at.tx[31], at.index]).toEqual([1, 7]);
  for (const bad of ["", "x:1", "00".repeat(32), "00".repeat(32) + ":01", "00".repeat(32) + ":4294967296", "00".repeat(32) + ":-1"]) {
    expect(thrown(() => parseOutpoint(bad))).toBeInstanceOf(BadBytes);
  }
});
