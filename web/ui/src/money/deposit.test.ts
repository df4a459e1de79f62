import { expect, test } from "vitest";
import { newSalt, placeOf } from "./deposit.ts";
import { Nonsense } from "./read.ts";

test("B-10: a receipt's number is series x 2^32 + index", () => {
  expect(placeOf(2)).toEqual({ series: 0, index: 2 });
  expect(placeOf(3 * 2 ** 32 + 0xffffffff)).toEqual({ series: 3, index: 0xffffffff });
  for (const bad of [undefined, -1, 1.5, 2 ** 60]) expect(() => placeOf(bad)).toThrow(Nonsense);
});

test("Y-93: salts are 16 bytes, drawn anew", () => {
  expect(newSalt()).toHaveLength(16);
  expect(newSalt()).not.toEqual(newSalt());
});
