import { describe, expect, test } from "vitest";
import { costToMove, curve, take, takeAmount } from "./depth.ts";
import { btc, eur, levels, terms } from "./testing.ts";

const t = terms({ takerPpm: 2500n });
const bids = levels(t, ["49900", "1"], ["49800", "2"]);
const asks = levels(t, ["50000", "1"], ["50000.01", "0.0001"], ["50200", "5"]);

describe("cost to move the price", () => {
  test("all that is offered at better prices is taken, as one order rounds (M-30, M-32)", () => {
    // 50,000 + 5.000001: a buyer pays the whole rounded up once.
    expect(costToMove(bids, asks, eur("50200"), t)).toEqual({
      side: "buy", price: eur("50200"), quantity: btc("1.0001"), value: eur("50005.01"), fee: 250_025n, known: true,
    });
    expect(costToMove(bids, asks, eur("49800"), t)).toEqual({
      side: "sell", price: eur("49800"), quantity: btc("1"), value: eur("49900"), fee: eur("124.75"), known: true,
    });
  });

  test("between the best prices nothing has to be taken", () => {
    expect(costToMove(bids, asks, eur("49950"), t)).toBeUndefined();
    expect(costToMove(bids, asks, eur("50000"), t)).toBeUndefined();
    expect(costToMove([], [], eur("50000"), t)).toBeUndefined();
  });

  test("beyond the last level it says that there is no more", () => {
    expect(costToMove(bids, asks, eur("60000"), t)).toMatchObject({ quantity: btc("6.0001"), known: false });
  });
});

describe("taking out of the book", () => {
  test("as far as quantity and limit go", () => {
    expect(take("buy", asks, eur("50000.01"), btc("3"))).toMatchObject({ quantity: btc("1.0001"), levels: 2, last: eur("50000.01") });
    expect(take("sell", bids, eur("49900"), btc("0.4"))).toMatchObject({ quantity: btc("0.4"), product: btc("0.4") * eur("49900") });
    expect(take("buy", asks, eur("49000"), btc("3"))).toMatchObject({ quantity: 0n, last: undefined });
  });

  test("by amount, as many lots as what is left is worth at each level (M-52, quote-amount.txt)", () => {
    const plain = terms();
    const book = levels(plain, ["50000", "0.01"], ["50100", "1"]);
    const taken = takeAmount("buy", book, eur("51000"), eur("1000"), btc("1000"), plain);
    expect(taken.quantity).toBe(btc("0.0199"));
    expect(taken.product / 100_000_000n).toBe(eur("995.99"));
    const sold = takeAmount("sell", levels(plain, ["50050", "1"]), eur("49900"), eur("1000"), btc("0.02"), plain);
    expect(sold.quantity).toBe(btc("0.0199"));
    expect(sold.product / 100_000_000n).toBe(eur("995.99"));
  });
});

test("the picture's points are the running sums", () => {
  expect(curve(asks, t, 0, 50_100)).toEqual([{ price: 50_000, sum: 1 }, { price: 50_000.01, sum: 1.0001 }]);
});
