import { expect, test } from "vitest";
import { bitsOf, secondsOf, spanOf, strengthOf } from "./strength.ts";

test.each([
  ["abc", "short"],
  ["password1", "weak"],
  ["aaaaaaaaaaaaaaaa", "weak"],
  ["abcdefghijklmnop", "weak"],
  ["qwertyuiop12345", "weak"],
  ["12345678", "weak"],
  ["Liverpool1992!", "weak"],
  ["Manchester1!", "weak"],
  ["Michael1985", "weak"],
  ["Summer2024!", "weak"],
  ["Berlin2023!!", "weak"],
  ["john.smith.1980", "fair"],
  ["qkzjvmwplxnrtbgdshcf", "fair"],
  ["Tr0ub4dor", "weak"],
  ["correct horse battery staple", "fair"],
  ["correct horse battery staple orbit", "good"],
  ["tG7#kq9!vXw2$pLz8", "strong"],
] as const)("%s is %s", (passphrase, want) => {
  expect(strengthOf(passphrase, 8)).toBe(want);
});

test("a longer one is not weaker, and spans are of a handy unit", () => {
  expect(bitsOf("maple orbit crane")).toBeLessThan(bitsOf("maple orbit crane velvet"));
  expect(spanOf(secondsOf(10)).unit).toBe("minutes");
  expect(spanOf(86_400 * 30)).toEqual({ unit: "days", count: 30 });
  expect(spanOf(1e20).unit).toBe("ages");
});
