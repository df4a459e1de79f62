import { expect, test } from "vitest";
import type { Schemas } from "souk-api";
import { actsOf, readEscrow, readSecret } from "./escrow.ts";

const said: Schemas["Escrow"] = { id: 1, asset: 1, symbol: "BTC", amount: "1.00000000", payer: "alice", payee: "bob", arbiter: "carol", deadline: 1000, window: 500, disputed: false, hash: "00" };
const acts = (own: string, now: number, some: Partial<Schemas["Escrow"]> = {}) => actsOf(readEscrow({ ...said, ...some }, own), now);

test("E-45: who may do what, and when", () => {
  expect(acts("alice", 999)).toEqual(["dispute"]);
  expect(acts("alice", 1000)).toEqual(["refund"]);
  expect(acts("alice", 1000, { disputed: true })).toEqual([]);
  expect(acts("bob", 999)).toEqual(["claim", "giveUp", "dispute"]);
  expect(acts("bob", 1000)).toEqual(["giveUp"]);
  expect(acts("bob", 999, { disputed: true })).toEqual(["giveUp"]);
  expect(acts("carol", 999)).toEqual([]);
  expect(acts("carol", 1499, { disputed: true })).toEqual(["pay", "return"]);
  expect(acts("carol", 1500, { disputed: true })).toEqual([]);
  expect(acts("alice", 1, { arbiter: "" })).toEqual([]);
});

test("secrets have 32 bytes", () => {
  expect(readSecret(` ${"AB".repeat(32)} `)).toHaveLength(32);
  for (const bad of ["", "ab", "x".repeat(64), "ab".repeat(33)]) expect(readSecret(bad)).toBeUndefined();
});
