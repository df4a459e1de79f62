import { describe, expect, test } from "vitest";
import type { Schemas } from "souk-api";
import { depositProgress, withdrawalProgress, withdrawalFee, cancellable } from "./progress.ts";
import { Nonsense, readAmount, readBalance, readDeposit, readFill, readList, readOrder, readText, readWithdrawal } from "./read.ts";

const deposit: Schemas["Deposit"] = {
  address: "bcrt1q", amount: "0.50000000", bank: 1, depth: 0, index: 0, network: "bitcoin-regtest", output: 1, series: 0, state: "seen", symbol: "BTC", tx: "ab".repeat(32),
};
const withdrawal: Schemas["Withdrawal"] = { id: 7, address: "bcrt1q", amount: "1.00000000", bank: 1, network: "bitcoin-regtest", output: 0, script: "00", state: "waiting", symbol: "BTC" };

describe("confirmations", () => {
  const at = (some: Partial<Schemas["Deposit"]>) => depositProgress(readDeposit({ ...deposit, ...some }));
  test("seen, deep, credited: the bar only ever grows", () => {
    const way = [
      at({ members: 1, needed: 3, required: 2 }), at({ state: "deep", depth: 1, required: 2 }), at({ state: "deep", depth: 2, required: 2 }), at({ state: "credited", depth: 3, required: 2 }),
    ];
    expect(way.map((p) => [p.done, p.of])).toEqual([[0, 3], [2, 3], [3, 3], [3, 3]]);
    expect(way.map((p) => p.ended)).toEqual([false, false, false, true]);
    expect(way.map((p) => p.words)).toEqual(["Seen by 1, needs 3 members", "1 of 2 blocks deep", "2 of 2 blocks deep", "Credited"]);
  });
  test("what a server leaves out, or says too much of, breaks nothing", () => {
    expect(at({ state: "deep", depth: 9, required: 2 })).toMatchObject({ done: 3, of: 3, words: "2 of 2 blocks deep" });
    expect(at({ state: "seen" }).words).toBe("Seen by 0 of the members");
    expect(at({ state: "deep", depth: 0 })).toMatchObject({ done: 1, of: 2 });
  });
});

describe("withdrawals", () => {
  const at = (some: Partial<Schemas["Withdrawal"]>) => withdrawalProgress(readWithdrawal({ ...withdrawal, ...some }));
  test.each([
    [{ state: "delayed", from: 1_790_000_000_000 }, /^Delayed: until \d+ Sep/],
    [{ state: "waiting", reason: "fee" }, /^Waiting: for a lower fee/],
    [{ state: "waiting" }, /^Waiting$/],
    [{ state: "signing", signed: 2, needed: 3 }, /^Signing: 2 of 3 members have signed$/],
    [{ state: "signed" }, /^Signed: on its way/],
    [{ state: "mined", depth: 1, required: 2 }, /^Mined: 1 of 2 blocks$/],
    [{ state: "paid", depth: 3 }, /^Paid: 3 blocks deep$/],
    [{ state: "cancelled" }, /^Cancelled$/],
  ] as [Partial<Schemas["Withdrawal"]>, RegExp][])("%j", (some, words) => {
    expect(at(some).words).toMatch(words);
  });
  test("fees, and what can be taken back", () => {
    const read = (some: Partial<Schemas["Withdrawal"]>) => readWithdrawal({ ...withdrawal, ...some });
    expect(withdrawalFee(read({ max_fee: "0.00001000" }))).toBe("fee at most 0.00001");
    expect(withdrawalFee(read({ max_fee: "0.00001000", fee: "0.00000259" }))).toBe("fee 0.00000259");
    expect((["delayed", "waiting", "signing", "paid"] as const).map((state) => cancellable(read({ state })))).toEqual([true, true, false, false]);
  });
});

describe("hostile answers", () => {
  const xss = '<img src=x onerror="alert(1)">';
  test("texts stay texts, and are cut", () => {
    expect(readDeposit({ ...deposit, address: xss, symbol: "BTC" }).address).toBe(xss);
    expect(readText("x".repeat(5000), "memo")).toHaveLength(128);
    expect(readOrder({ ...order, client: xss }).client).toBe(xss);
  });
  test("amounts are decimal texts and nothing else", () => {
    for (const bad of [1.5, null, undefined, "", "-1", "1e9", "0x10", "1,5", xss, "1.", ".5", "١", "9".repeat(30), " 1"]) expect(() => readAmount(bad, "amount")).toThrow(Nonsense);
    expect(readAmount("12.30", "amount")).toEqual({ units: 1230n, decimals: 2 });
  });
  test("unknown words, missing fields and wrong types are nonsense", () => {
    const bad = <T>(read: (v: T) => unknown, v: unknown) => expect(() => read(v as T)).toThrow(Nonsense);
    bad(readDeposit, { ...deposit, state: "credited!" });
    bad(readDeposit, { ...deposit, depth: -1 });
    bad(readDeposit, { ...deposit, depth: 1e300 });
    bad(readWithdrawal, { ...withdrawal, reason: "constructor" });
    bad(readWithdrawal, { ...withdrawal, id: "7" });
    bad(readBalance, { asset: 1, symbol: {}, available: "1.00", held: "0.00" });
    bad(readBalance, { asset: 1, symbol: "EUR", available: "1.00", held: "1.00", withdrawing: "2.00" });
    bad(readOrder, { ...order, side: "__proto__" });
    bad(readFill, {});
    bad((v: unknown) => readList(v, "list", readDeposit), { length: 3 });
    bad((v: unknown) => readList(v, "list", readDeposit), [null]);
  });
  test("an amount in orders is what is held and does not go to withdrawals", () => {
    expect(readBalance({ asset: 1, symbol: "BTC", available: "1.00000000", held: "0.50000000", withdrawing: "0.20000000" })).toMatchObject({
      available: 100_000_000n, orders: 30_000_000n, withdrawing: 20_000_000n, total: 150_000_000n, decimals: 8,
    });
  });
});

const order: Schemas["Order"] = {
  id: 5, market: 1, symbol: "BTC-EUR", side: "buy", kind: "limit", tif: "gtc", status: "resting", post_only: false, price: "50000.00", quantity: "1.00000000",
  filled: "0.00000000", value: "0.00", fee: "0.00000000", hold: "50000.00", placed: 3, time: 1000,
};
