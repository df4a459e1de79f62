import type { Schemas } from "souk-api";
import { expect, test } from "vitest";
import { convert, decimalsOf, estimateText, quotesOf, ratesOf } from "./value.ts";

const ticker = (symbol: string, last: string | undefined, volume = "0.00000000") => ({ symbol, last, volume }) as Schemas["Ticker"];
const rates = ratesOf([
  ticker("BTC-EUR", "50000.00", "1.00000000"), ticker("LTC-BTC", "0.00200000"), ticker("NMC-LTC", "0.01000000"), ticker("XAU-EUR", undefined),
  ticker("<b>-EUR", "nonsense"), ticker("BTC", "1.0"), ticker("A-B-C", "1.0"), null as unknown as Schemas["Ticker"],
]);

test("values go along markets, either way, and are cut off", () => {
  expect(convert(150_000_000n, "BTC", "EUR", rates)).toBe(7_500_000n);
  expect(convert(5_000_000n, "EUR", "BTC", rates)).toBe(100_000_000n);
  expect(convert(100_000_000n, "LTC", "EUR", rates)).toBe(10_000n);
  expect(convert(100_000_000n, "NMC", "EUR", rates)).toBe(100n);
  expect(convert(1n, "LTC", "EUR", rates)).toBe(0n);
  expect(convert(7n, "EUR", "EUR", rates)).toBe(7n);
  expect(convert(1n, "XAU", "EUR", rates)).toBeUndefined();
});

test("what servers tell is read with suspicion", () => {
  expect(rates.map((r) => `${r.base}-${r.quote}`)).toEqual(["BTC-EUR", "LTC-BTC", "NMC-LTC"]);
  expect(quotesOf(rates)).toEqual(["EUR", "BTC", "LTC"]);
  expect([decimalsOf("EUR", rates), decimalsOf("BTC", rates), decimalsOf("XAU", rates)]).toEqual([2, 8, undefined]);
});

test("estimates have as many decimals as money", () => {
  expect([estimateText(0n, 8), estimateText(123_456_789n, 8), estimateText(12_345n, 8), estimateText(150n, 2)]).toEqual(["0.00", "1.23", "0.00012345", "1.50"]);
});
