import type { Schemas } from "souk-api";
import { expect, test } from "vitest";
import { about, clock, fixed, moment, percent, price, quantity, stamp } from "./show.ts";
import { bandOf, readTerms, shownDecimals } from "./terms.ts";
import { btc, eur, terms } from "./testing.ts";

const market: Schemas["Market"] = {
  id: 1, symbol: "BTC-EUR", base: "BTC", quote: "EUR", base_id: 1, quote_id: 2, base_decimals: 8, quote_decimals: 2, tick: "0.01", lot: "0.00010000",
  min_notional: "1.00", maker_ppm: 1000, taker_ppm: 2000, reserve_ppm: 0, band_ppm: 0, reference: "50000.00", paused: false,
};

test("a market is read with its last price, or the reference of its terms", () => {
  expect(readTerms(market)).toEqual(terms({ makerPpm: 1000n, takerPpm: 2000n }));
  expect(readTerms({ ...market, last: "51000.00" }).reference).toBe(eur("51000"));
});

test.each([
  ["decimals without end", { base_decimals: 1_000_000_000 }],
  ["decimals that are none", { quote_decimals: 1.5 }],
  ["markup for a symbol", { base: "<b>", symbol: "<b>-EUR" }],
  ["another name than its assets'", { symbol: "BTC-USD" }],
  ["no tick", { tick: "0.00" }],
  ["a tick that is no number", { tick: "x" }],
])("a market with %s is none", (_, some) => {
  expect(() => readTerms({ ...market, ...some })).toThrow();
});

test("the band's ends (M-8)", () => {
  expect(bandOf(eur("50000"), 100_000n)).toEqual({ low: eur("45000"), high: eur("55000") });
  expect(bandOf(eur("50000"), 10_000_000n)?.low).toBe(0n);
  expect(bandOf(eur("50000"), 0n)).toBeUndefined();
});

test("numbers end at the same place in all rows", () => {
  const t = terms();
  const text = (s: string) => s.replace(/[\u2009\u202f]/g, " ");
  expect(shownDecimals(50n, 2)).toBe(1);
  expect(shownDecimals(1000n, 2)).toBe(0);
  expect(text(price(eur("50000.5"), t))).toBe("50 000.50");
  expect(text(price(eur("50000"), t, 1000n))).toBe("50 000");
  expect(quantity(btc("0.25"), t)).toBe("0.2500");
  expect(text(fixed(123_456_789n, 2, 1))).toBe("1 234 567.8");
  expect(text(about(btc("12345.678"), 8))).toBe("12 345");
  expect(about(btc("0.12345678"), 8)).toBe("0.1234");
  expect(percent(2500n)).toBe("0.25");
});

test("times", () => {
  const at = new Date(2026, 10, 22, 1, 2, 3).getTime();
  expect([clock(at), moment(at)]).toEqual(["01:02:03", "2026-11-22 01:02:03"]);
  expect(stamp(at, at + 60_000)).toBe("01:02:03");
  expect(stamp(at, at + 48 * 3_600_000)).toBe("11-22 01:02:03");
  expect(stamp(at, at + 400 * 24 * 3_600_000)).toBe("2026-11-22 01:02");
});
