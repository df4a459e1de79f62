import type { Schemas } from "souk-api";
import { expect, test } from "vitest";
import { Nonsense } from "../money/read.ts";
import { applyBlock, olderFills, type Known } from "./ledger.ts";

const order = (id: number, status: Schemas["Order"]["status"] = "resting", filled = "0.00000000"): Schemas["Order"] => ({
  id, market: 1, symbol: "BTC-EUR", side: "buy", kind: "limit", tif: "gtc", status, post_only: false, price: "50000.00", quantity: "1.00000000",
  filled, value: "0.00", fee: "0.00000000", hold: "0.00", placed: 3, time: 1000,
});
const fill = (trade: number, of = 5): Schemas["Fill"] => ({
  trade, order: of, market: 1, symbol: "BTC-EUR", side: "buy", role: "taker", price: "50000.00", quantity: "0.10000000", value: "5000.00", fee: "0.00010000", height: 8, time: 2000, inner: false,
});
const balance = (asset: number, available: string, held = "0.00"): Schemas["Balance"] => ({ asset, symbol: `A${asset}`, available, held });
const block = (height: number, events: Schemas["AccountEvent"][], balances?: Schemas["Balance"][]): Schemas["BlockEvents"] => ({
  cursor: `${height}`, height, time: 2000, account: { address: "souk1", events, ...(balances ? { balances } : {}) },
});
const empty: Known = { balances: [], orders: [], fills: [], payments: [], at: { balances: 7, orders: 7, fills: 7 } };

test("orders come, shrink and go; fills and balances follow", () => {
  let { known } = applyBlock(empty, block(8, [{ kind: "order_opened", order: order(5) }], [balance(2, "10.00"), balance(1, "3.00")]));
  expect(known.orders.map((o) => o.id)).toEqual([5]);
  expect(known.balances.map((b) => b.asset)).toEqual([1, 2]);
  const second = applyBlock(known, block(9, [{ kind: "fill", fill: fill(1) }, { kind: "order_reduced", order: order(5, "resting", "0.10000000") }], [balance(2, "5.00")]));
  known = second.known;
  expect(known.orders[0]?.filled).toBe(10_000_000n);
  expect(second.news.fills).toHaveLength(1);
  expect(known.balances.find((b) => b.asset === 2)?.available).toBe(500n);
  const third = applyBlock(known, block(10, [{ kind: "order_closed", order: order(5, "gone"), reason: "cancelled" }], [balance(2, "0.00")]));
  expect(third.known.orders).toEqual([]);
  expect(third.news.closed[0]?.reason).toBe("cancelled");
  expect(third.known.balances.map((b) => b.asset)).toEqual([1]);
});

test("what is left of a new order rests when its block is over, and fills are counted in it (M-34)", () => {
  const opened = { ...order(5, "staged"), hold: "50000.00" };
  let { known } = applyBlock(empty, block(8, [{ kind: "order_opened", order: opened }, { kind: "fill", fill: fill(1) }]));
  expect(known.orders[0]).toMatchObject({ status: "resting", filled: 10_000_000n, value: 500_000n, fee: 10_000n, hold: 4_500_000n });
  ({ known } = applyBlock(known, block(9, [{ kind: "fill", fill: { ...fill(2), height: 9 } }])));
  expect(known.orders[0]).toMatchObject({ filled: 20_000_000n, hold: 4_000_000n });
  const stop = applyBlock(empty, block(8, [{ kind: "order_opened", order: { ...order(6, "waiting"), kind: "stop", trigger: "51000.00" } }]));
  expect(stop.known.orders[0]?.status).toBe("waiting");
  const sold = applyBlock(empty, block(8, [{ kind: "order_opened", order: { ...order(7, "staged"), side: "sell" } }, { kind: "fill", fill: { ...fill(3, 7), side: "sell" } }]));
  expect(sold.known.orders[0]).toMatchObject({ status: "resting", hold: 90_000_000n });
});

test("what was read already is not applied again", () => {
  const known: Known = { ...empty, at: { balances: 9, orders: 8, fills: 9 } };
  const { known: next, news } = applyBlock(known, block(9, [{ kind: "order_opened", order: order(5) }, { kind: "fill", fill: fill(1) }], [balance(2, "1.00")]));
  expect(next.orders).toHaveLength(1);
  expect(next.fills).toEqual([]);
  expect(next.balances).toEqual([]);
  expect(news.fills).toEqual([]);
});

test("a fill that is told twice is one, and older pages go behind", () => {
  const { known } = applyBlock(empty, block(8, [{ kind: "fill", fill: fill(3) }, { kind: "fill", fill: fill(3, 6) }]));
  expect(known.fills).toHaveLength(2);
  const again = applyBlock(known, block(9, [{ kind: "fill", fill: fill(3) }, { kind: "fill", fill: fill(4) }]));
  expect(again.known.fills.map((f) => f.trade)).toEqual([4, 3, 3]);
  expect(olderFills(again.known.fills, again.known.fills)).toHaveLength(3);
});

test("payments tell who and why, as text", () => {
  const memo = "<script>alert(1)</script>";
  const { news, known } = applyBlock(empty, block(8, [{ kind: "received", asset: "EUR", amount: "5.00", other: "souk1other", memo }]));
  expect(news.payments[0]).toMatchObject({ kind: "received", memo, other: "souk1other", amount: { units: 500n, decimals: 2 } });
  expect(known.payments).toHaveLength(1);
});

test("lists that change are asked for", () => {
  const { news } = applyBlock(empty, block(8, [{ kind: "deposited", asset: "BTC", amount: "1.00000000" }, { kind: "withdrawal_sent" }, { kind: "withdrawals_set" }, { kind: "keys_changed" }, { kind: "escrow_locked" }]));
  expect(news).toMatchObject({ deposits: true, withdrawals: true, settings: true, keys: true, escrows: true });
  expect(news.deposited[0]?.amount.units).toBe(100_000_000n);
});

test("nonsense is refused whole", () => {
  expect(() => applyBlock(empty, block(8, [{ kind: "order_opened", order: { ...order(5), price: "x" } }], [balance(1, "1.00")]))).toThrow(Nonsense);
  expect(() => applyBlock(empty, block(8, [{ kind: 7 } as never]))).toThrow(Nonsense);
  expect(() => applyBlock(empty, { cursor: "8", height: 8, account: { address: "a", events: null as never } })).toThrow(Nonsense);
});
