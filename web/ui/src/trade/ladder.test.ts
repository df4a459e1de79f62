import { describe, expect, test } from "vitest";
import { moved, rowPrice, rows, share, spread, steps } from "./ladder.ts";
import { btc, eur, levels, terms } from "./testing.ts";

const t = terms();
const bids = levels(t, ["49999.99", "0.5"], ["49999.5", "0.25"], ["49998", "1"], ["49990", "2"]);
const asks = levels(t, ["50000.01", "0.5"], ["50000.5", "0.25"], ["50001", "1"], ["50010.01", "2"]);

describe("ladder", () => {
  test("sums run from the spread outwards", () => {
    const out = rows("buy", bids, 1n, 10, new Map());
    expect(out.map((r) => r.sum)).toEqual([btc("0.5"), btc("0.75"), btc("1.75"), btc("3.75")]);
  });

  test("groups are rounded away from the spread, so that nothing looks cheaper than it is", () => {
    expect(rows("sell", asks, 100n, 10, new Map()).map((r) => [r.price, r.quantity])).toEqual([
      [eur("50001"), btc("1.75")],
      [eur("50011"), btc("2")],
    ]);
    expect(rows("buy", bids, 100n, 10, new Map()).map((r) => [r.price, r.quantity])).toEqual([
      [eur("49999"), btc("0.75")],
      [eur("49998"), btc("1")],
      [eur("49990"), btc("2")],
    ]);
    expect(rowPrice("sell", eur("50000"), 100n)).toBe(eur("50000"));
  });

  test("no more rows than are shown, and a row that is shown is whole", () => {
    const out = rows("sell", asks, 1000n, 1, new Map());
    expect(out).toEqual([{ price: eur("50010"), quantity: btc("1.75"), sum: btc("1.75"), own: 0n }]);
  });

  test("own orders are marked with what they have there", () => {
    const own = new Map([[eur("49999.5"), btc("0.1")]]);
    expect(rows("buy", bids, 100n, 10, own).map((r) => r.own)).toEqual([btc("0.1"), 0n, 0n]);
  });

  test("steps are multiples of the tick up to a hundredth of the price", () => {
    expect(steps(1n, eur("50"))).toEqual([1n, 2n, 5n, 10n, 20n, 50n]);
    expect(steps(10n, 5n)).toEqual([10n]);
  });

  test("bars, spread", () => {
    expect(share(1n, 4n)).toBe(0.25);
    expect(share(9n, 4n)).toBe(1);
    expect(share(1n, 0n)).toBe(0);
    expect(spread(bids, asks)).toEqual({ ticks: 2n, basis: 0n });
    expect(spread(bids, [])).toBeUndefined();
  });

  test("arrows move from row to row, also when the row has gone meanwhile", () => {
    const prices = [50n, 40n, 30n];
    expect(moved(prices, undefined, 1, 1)).toBe(40n);
    expect(moved(prices, 40n, 1, 0)).toBe(30n);
    expect(moved(prices, 30n, 1, 0)).toBe(30n);
    expect(moved(prices, 50n, -1, 0)).toBe(50n);
    expect(moved(prices, 45n, 1, 0)).toBe(30n);
    expect(moved([], 45n, 1, 0)).toBeUndefined();
  });
});
