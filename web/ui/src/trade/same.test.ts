import { describe, expect, test } from "vitest";
import type { Order } from "../money/read.ts";
import { checkAmend, mayAmend, progress } from "./amend.ts";
import { readKept } from "./kept.ts";
import { ownAt } from "./own.ts";
import { differences, outcome, sameMarket } from "./same.ts";
import { btc, eur, terms } from "./testing.ts";

const t = terms({ tick: 100n, minNotional: eur("10"), bandPpm: 100_000n });

test("a market whose decimals or symbols are not the proven ones is another one (H-90)", () => {
  const asset = (number: number, symbol: string, decimals: number) => ({ number, symbol, decimals });
  const proven = { number: 1, base: asset(1, "BTC", 8), quote: asset(2, "EUR", 2) };
  expect(sameMarket(proven, t)).toBe(true);
  expect(sameMarket({ ...proven, quote: asset(2, "EUR", 8) }, t)).toBe(false);
  expect(sameMarket({ ...proven, base: asset(3, "BTC", 8) }, t)).toBe(false);
  expect(sameMarket({ ...proven, number: 2 }, t)).toBe(false);
});

describe("a fill and its proven trade (H-62)", () => {
  const trade = {
    id: 7n, market: 1, price: eur("50000"), quantity: btc("0.1"), maker: 3n, taker: 4n, taking: "buy" as const, inner: false, height: 9n, time: 1000n,
  };
  const fill = { trade: 7, order: 4, market: 1, side: "buy" as const, role: "taker" as const, price: eur("50000"), quantity: btc("0.1"), height: 9, time: 1000 };
  test("are the same for taker, maker and both of the inner cross", () => {
    expect(differences(fill, trade)).toEqual([]);
    expect(differences({ ...fill, order: 3, role: "maker", side: "sell" }, trade)).toEqual([]);
    expect(differences({ ...fill, order: 3, side: "sell" }, { ...trade, inner: true })).toEqual([]);
    expect(differences(fill, { ...trade, inner: true })).toEqual([]);
  });
  test("whatever differs is named", () => {
    expect(differences({ ...fill, price: 1n }, trade)).toEqual(["the price"]);
    expect(differences({ ...fill, quantity: 1n, order: 5 }, trade)).toEqual(["the quantity", "your order"]);
    expect(differences({ ...fill, side: "sell" }, trade)).toEqual(["the side"]);
    expect(differences({ ...fill, height: 8 }, trade)).toEqual(["the block"]);
    expect(differences({ ...fill, trade: 8 }, trade)).toEqual(["the trade's number or market"]);
  });
});

test("what a receipt says", () => {
  const say = (r: object, wanted = btc("0.1")) => outcome({ height: 9, number: 5, ...r }, "buy", t, wanted).replaceAll("\u2009", " ");
  expect(say({ status: "resting", filled_units: "0" })).toBe("Order 5 is in the book.");
  expect(say({ status: "waiting" })).toBe("Order 5 waits for its trigger.");
  expect(say({ status: "gone" })).toBe("Nothing traded: the order ended in its block.");
  expect(say({ status: "gone", filled_units: "10000000", cost_units: "500000" })).toBe("Bought 0.1 BTC for 5 000 EUR in block 9.");
  expect(say({ status: "gone", filled_units: "5000000", cost_units: "250000" })).toBe("Bought 0.05 BTC for 2 500 EUR; the rest was cancelled.");
  expect(say({ status: "resting", filled_units: "5000000", cost_units: "250000" })).toBe("Bought 0.05 BTC for 2 500 EUR; the rest stays in the book.");
});

describe("amending (K-6, M-71)", () => {
  const order = {
    id: 5, kind: "limit", status: "resting", side: "buy", market: 1, price: eur("50000"), quantity: btc("1"), filled: btc("0.4"), sibling: undefined,
  } as Order;
  const amend = (price: string, quantity: string) => checkAmend(order, { price, quantity }, t);
  test("smaller at the same price keeps the place, all else is a new order", () => {
    expect(amend("50000", "0.5")).toEqual({ problems: {}, keeps: true, body: { kind: "amend", target: { order: 5n, client: "" }, price: 0n, quantity: btc("0.5") } });
    expect(amend("50000", "2")).toMatchObject({ keeps: false, body: { price: 0n, quantity: btc("2") } });
    expect(amend("49999", "0.5")).toMatchObject({ keeps: false, body: { price: eur("49999") } });
    expect(amend("50000", "1").body).toBeUndefined();
  });
  test("problems stand at their fields", () => {
    expect(Object.keys(amend("50000", "0.4").problems)).toEqual(["quantity"]);
    expect(Object.keys(amend("50000", "0.4001").problems)).toEqual(["quantity"]);
    expect(Object.keys(amend("50000.5", "0.00001").problems)).toEqual(["price", "quantity"]);
    expect(Object.keys(amend("60000", "1").problems)).toEqual(["price"]);
    expect(Object.keys(amend("", "x").problems)).toEqual(["price", "quantity"]);
  });
  test("stops, legs of an OCO and orders by amount cannot be amended", () => {
    expect(mayAmend(order)).toBe(true);
    expect(mayAmend({ ...order, kind: "stop-limit" })).toBe(false);
    expect(mayAmend({ ...order, sibling: 6 })).toBe(false);
    expect(mayAmend({ ...order, quantity: undefined })).toBe(false);
    expect(progress(order)).toBe("40");
  });
  test("what one's own orders have resting at a price", () => {
    const own = ownAt([order, { ...order, id: 6 }, { ...order, id: 7, status: "waiting" }, { ...order, id: 8, market: 2 }], 1);
    expect([...own.buy]).toEqual([[eur("50000"), btc("1.2")]]);
    expect(own.sell.size).toBe(0);
  });
});

test("what was kept of the form is read with suspicion", () => {
  expect(readKept(null)).toMatchObject({ kind: "limit", tif: "gtc", by: "quantity", sizes: {} });
  expect(readKept("nonsense")).toMatchObject({ kind: "limit" });
  expect(readKept('{"kind":"market","tif":"gtc","by":"amount","sizes":{"A":{"quantity":"1","amount":"2"},"B":7}}')).toMatchObject({
    kind: "market", tif: "ioc", by: "amount", sizes: { A: { quantity: "1", amount: "2" } },
  });
});
