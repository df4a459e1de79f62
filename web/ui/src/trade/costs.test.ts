import { describe, expect, test } from "vitest";
import { crosses, estimate, feeOf, gotFor, holdOf, lotsFor, paidFor, portion, worstPrice, type Plan } from "./costs.ts";
import { btc, eur, levels, random, terms } from "./testing.ts";

const plan = (some: Partial<Plan>): Plan => ({
  side: "buy", size: { quantity: 0n }, price: 0n, rests: true, waits: false, whole: false, postOnly: false, ...some,
});

describe("the spec's examples", () => {
  test("one-trade.txt: hold, cost, fee", () => {
    const t = terms({ makerPpm: 1000n, takerPpm: 2500n });
    const e = estimate(plan({ size: { quantity: btc("0.4") }, price: eur("50100") }), levels(t, ["50000", "1"]), t);
    expect(e).toMatchObject({ hold: eur("20040"), value: eur("20000"), fee: btc("0.001"), total: eur("20000"), rest: 0n });
    // Bob's order rests, and pays the maker's fee out of what he gets.
    const bob = estimate(plan({ side: "sell", size: { quantity: btc("0.4") }, price: eur("50000") }), [], t);
    expect(bob).toMatchObject({ hold: btc("0.4"), totalFee: eur("20"), total: eur("19980"), rest: btc("0.4") });
  });

  test("rounding.txt: LTC-BTC, the buyer pays 376 for 375.15, the seller gets 375", () => {
    const t = terms({ baseDecimals: 8, quoteDecimals: 8, lot: 100_000n });
    const price = 125_050n;
    expect(paidFor(price * 100_000n, t)).toBe(126n);
    expect(paidFor(price * 200_000n, t) - paidFor(price * 100_000n, t)).toBe(125n);
    expect(paidFor(price * 300_000n, t)).toBe(376n);
    expect(gotFor(price * 300_000n, t)).toBe(375n);
  });

  test("no-decimals.txt: a fee of 0.01 coins is one coin, once", () => {
    expect(feeOf([[4n, 2500n]])).toBe(1n);
    expect(feeOf([[1n, 2500n], [1n, 2500n], [1n, 2500n], [1n, 2500n]])).toBe(1n);
  });

  test("sweep.txt: three at two prices", () => {
    const t = terms();
    const e = estimate(plan({ size: { quantity: btc("3") }, price: eur("50100") }), levels(t, ["50000", "5"], ["50200", "5"]), t);
    expect(e).toMatchObject({ value: eur("150000"), hold: eur("150300"), rest: 0n });
  });

  test("quote-amount.txt: 1,000 EUR at market, and a seller who gets as near as lots allow", () => {
    const t = terms();
    const book = levels(t, ["50000", "0.01"], ["50100", "1"]);
    const e = estimate(plan({ size: { amount: eur("1000") }, price: eur("51000"), rests: false }), book, t);
    expect(e).toMatchObject({ hold: eur("1000"), value: eur("995.99") });
    expect(e.now.quantity).toBe(btc("0.0199"));
    expect(holdOf("sell", eur("49900"), { amount: eur("1000") }, t)).toBe(btc("0.02"));
    const s = estimate(plan({ side: "sell", size: { amount: eur("1000") }, price: eur("49900"), rests: false }), levels(t, ["50050", "1"]), t);
    expect(s).toMatchObject({ hold: btc("0.02"), value: eur("995.99") });
    expect(s.now.quantity).toBe(btc("0.0199"));
    expect(lotsFor(eur("4"), eur("49900"), t)).toBe(0n);
  });

  test("fok.txt: whole or not at all", () => {
    const t = terms();
    const whole = plan({ size: { quantity: btc("5") }, price: eur("50100"), rests: false, whole: true });
    expect(estimate(whole, levels(t, ["50000", "3"]), t).value).toBe(0n);
    expect(estimate(whole, levels(t, ["50000", "5"]), t).value).toBe(eur("250000"));
  });
});

describe("estimates", () => {
  const t = terms({ makerPpm: 1000n, takerPpm: 2500n });

  test("a part trades now and pays as taker, the rest pays as maker", () => {
    const e = estimate(plan({ size: { quantity: btc("1") }, price: eur("50000") }), levels(t, ["49000", "0.4"]), t);
    expect(e).toMatchObject({ value: eur("19600"), fee: btc("0.001"), rest: btc("0.6"), total: eur("49600"), totalFee: btc("0.0016"), hold: eur("50000") });
    const s = estimate(plan({ side: "sell", size: { quantity: btc("1") }, price: eur("50000") }), levels(t, ["51000", "0.4"]), t);
    expect(s).toMatchObject({ value: eur("20400"), fee: eur("51"), total: eur("50400") - eur("81"), totalFee: eur("81") });
    expect(s.worst).toBe(eur("50000") - eur("125"));
  });

  test("post-only pays as maker and takes nothing", () => {
    const e = estimate(plan({ size: { quantity: btc("1") }, price: eur("50000"), postOnly: true }), levels(t, ["49000", "0.4"]), t);
    expect(e).toMatchObject({ value: 0n, totalFee: btc("0.001") });
  });

  test("a stop takes nothing now and is counted at its worst price", () => {
    const e = estimate(plan({ side: "sell", size: { quantity: btc("1") }, price: eur("49000"), waits: true, rests: false }), levels(t, ["49500", "9"]), t);
    expect(e).toMatchObject({ value: 0n, hold: btc("1"), total: eur("49000") - eur("122.5") });
  });
});

describe("buttons of 25 to 100 %", () => {
  test("never hold more than there is, and leave less than a lot", () => {
    const below = random(11);
    for (let i = 0; i < 800; i++) {
      const decimals = below(9);
      const t = terms({ baseDecimals: decimals, lot: BigInt(1 + below(5_000)), tick: BigInt(1 + below(50)) });
      const price = t.tick * BigInt(1 + below(1_000_000));
      const available = BigInt(below(2 ** 30)) * BigInt(1 + below(2 ** 20));
      for (const percent of [25n, 50n, 75n, 100n]) {
        const budget = (available * percent) / 100n;
        for (const side of ["buy", "sell"] as const) {
          const quantity = portion(side, "quantity", price, available, percent, t);
          const more = holdOf(side, price, { quantity: quantity + t.lot }, t);
          const amount = portion(side, "amount", price, available, percent, t);
          // One assertion: thousands of them are slow.
          expect([
            quantity % t.lot === 0n,
            holdOf(side, price, { quantity }, t) <= budget,
            more > budget || (quantity + t.lot) / t.lot > (1n << 40n) - 1n,
            holdOf(side, price, { amount }, t) <= budget,
          ]).toEqual([true, true, true, true]);
        }
      }
    }
  });

  test("of nothing is nothing", () => {
    expect(portion("buy", "quantity", eur("50000"), 0n, 100n, terms())).toBe(0n);
    expect(portion("buy", "quantity", 0n, eur("50000"), 100n, terms())).toBe(0n);
    expect(portion("sell", "quantity", eur("50000"), -5n, 100n, terms())).toBe(0n);
  });
});

describe("the worst price that is chosen", () => {
  test("is behind the last level that the order needs, on a tick", () => {
    const t = terms({ tick: 100n });
    const asks = levels(t, ["50000", "1"], ["50100", "1"]);
    expect(worstPrice("buy", asks, btc("0.5"), 0n, t)).toBe(eur("50500"));
    expect(worstPrice("buy", asks, btc("1.5"), 0n, t)).toBe(eur("50601"));
    expect(worstPrice("sell", levels(t, ["49900", "1"]), btc("1"), 0n, t)).toBe(eur("49401"));
    expect(worstPrice("buy", [], btc("1"), 0n, t)).toBe(eur("50500"));
  });

  test("stays inside the band, and of a stop goes from the trigger", () => {
    const t = terms({ tick: 100n, bandPpm: 5_000n });
    expect(worstPrice("buy", levels(t, ["50100", "1"]), btc("1"), 0n, t)).toBe(eur("50250"));
    expect(worstPrice("sell", levels(t, ["49900", "1"]), btc("1"), 0n, t)).toBe(eur("49750"));
    expect(worstPrice("sell", [], btc("1"), eur("40000"), terms({ tick: 100n }))).toBe(eur("39200"));
  });
});

test("crossing", () => {
  const t = terms();
  expect(crosses("buy", eur("50000"), levels(t, ["50000", "1"]))).toBe(true);
  expect(crosses("buy", eur("49999"), levels(t, ["50000", "1"]))).toBe(false);
  expect(crosses("sell", eur("50000"), [])).toBe(false);
});
