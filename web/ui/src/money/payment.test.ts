import { expect, test } from "vitest";
import { encodeAddress } from "../souk/address.ts";
import { text } from "../text.ts";
import { planPayment } from "./payment.ts";

const own = encodeAddress(new Uint8Array(20));
const other = encodeAddress(new Uint8Array(20).fill(7));
const ground = { own, symbol: "EUR", decimals: 2, available: 10_000n };
const plan = (to: string, amount: string, memo = "") => planPayment(ground, { to, amount, memo });
const t = text.money.send;

test("a good payment", () => {
  expect(plan(` ${other} `, "12.30", "for the <b>book</b>")).toMatchObject({ ready: true, amount: 1230n, errors: { to: "", amount: "", memo: "" }, memoLeft: 109 });
});

test("who is paid", () => {
  expect(plan(own, "1").errors.to).toBe(t.self);
  expect(plan("bcrt1qqmz3teggchackfxltngnfvch94m2unjt5pl3gs7tu7t9pqgq74kqyd2dfw", "1").errors.to).toBe(t.chain);
  expect(plan(other.slice(0, -1) + "q", "1").ready).toBe(false);
  expect(plan("", "1")).toMatchObject({ ready: false, errors: { to: "" } });
});

test("how much", () => {
  expect(plan(other, "0").errors.amount).toBe(t.zero);
  expect(plan(other, "100.01").errors.amount).toBe(t.short("0.01 EUR"));
  expect(plan(other, "1.001").ready).toBe(false);
});

test("memos are counted in bytes", () => {
  expect(plan(other, "1", "é".repeat(64))).toMatchObject({ ready: true, memoLeft: 0 });
  expect(plan(other, "1", "é".repeat(65)).errors.memo).toBe(t.memoLong);
  expect(plan(other, "1", "\ud800").errors.memo).toBe(t.memoLong);
});
