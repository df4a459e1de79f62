import { expect, test } from "vitest";
import { BadNumber, costOf, formatUnits, parseUnits } from "./amount.ts";
import { Random, thrown } from "./testing.ts";

test("amounts are read and written with the asset's decimals (V-3)", () => {
  for (const [text, decimals, units] of [
    ["0.00000150", 8, 150n], ["150", 0, 150n], ["1.5", 8, 150_000_000n], ["0", 8, 0n], ["64250.50000000", 8, 6425050000000n],
    ["18446744073709551615", 0, (1n << 64n) - 1n], [" 7 ", 2, 700n], ["007.50", 2, 750n],
  ] as const) {
    expect(parseUnits(text, decimals)).toBe(units);
  }
  expect(formatUnits(150n, 8)).toBe("0.00000150");
  expect(formatUnits(150n, 0)).toBe("150");
  expect(formatUnits(123456789012n, 2, { group: true })).toBe("1\u2009234\u2009567\u2009890.12");
  expect(formatUnits(100_000_000n, 8, { trim: true })).toBe("1");
  expect(formatUnits(150_000_000n, 8, { trim: true })).toBe("1.5");
  expect(formatUnits(-5n, 2)).toBe("-0.05");
});

test("what is no amount is refused with what is wrong", () => {
  for (const [text, decimals, why] of [
    ["", 8, /Write a number/], [" ", 8, /Write a number/], ["-1", 8, /negative/], ["−1", 8, /negative/], ["1,5", 8, /point/], ["1,000.5", 8, /point/],
    ["1.123", 2, /at most 2/], ["1.5", 0, /whole/], ["1e5", 8, /not a number/], [".5", 8, /not a number/], ["5.", 8, /not a number/],
    ["+5", 8, /not a number/], ["0x10", 8, /not a number/], ["1 000", 8, /not a number/], ["١", 8, /not a number/], ["NaN", 8, /not a number/],
    ["18446744073709551616", 0, /too large/], ["1".repeat(65), 0, /too long/], ["184467440737.09551616", 8, /too large/],
  ] as const) {
    const error = thrown(() => parseUnits(text, decimals));
    expect(error, text).toBeInstanceOf(BadNumber);
    expect(error.message, text).toMatch(why);
  }
});

test("what is written is read again as the same", () => {
  const r = new Random(1);
  for (let i = 0; i < 2000; i++) {
    const [units, decimals] = [r.u64(), r.below(19)];
    expect(parseUnits(formatUnits(units, decimals), decimals)).toBe(units);
    expect(parseUnits(formatUnits(units, decimals, { trim: true }), decimals)).toBe(units);
  }
});

test("costs are rounded up or down (V-6)", () => {
  expect(costOf(6425050000000n, 12345n, 8, "up")).toBe(793172423n);
  expect(costOf(6425050000000n, 12345n, 8, "down")).toBe(793172422n);
  expect(costOf(1250000000n, 3n, 0, "up")).toBe(3750000000n);
  expect(costOf(5000n, 30000n, 8, "up")).toBe(2n);
  expect(costOf(5000n, 30000n, 8, "down")).toBe(1n);
});
