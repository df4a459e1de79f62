import { expect, test } from "vitest";
import { corrected, differing, rowsOf } from "./balances.ts";
import type { Balance } from "./read.ts";

const said = (asset: number, available: bigint, orders = 0n, withdrawing = 0n): Balance => ({
  asset, symbol: `A${asset}`, decimals: 2, available, orders, withdrawing, total: available + orders + withdrawing,
});
const proven = { balances: [{ asset: 1, available: 10n, held: 5n }, { asset: 2, available: 3n, held: 0n }, { asset: 9, available: 0n, held: 0n }] };

test("what is said and what is proven are compared by available and held", () => {
  expect(differing([said(1, 10n, 3n, 2n), said(2, 3n)], proven)).toEqual([]);
  expect(differing([said(1, 11n, 3n, 2n), said(2, 3n)], proven)).toEqual([1]);
  expect(differing([said(1, 10n, 5n)], proven)).toEqual([2]);
  expect(differing([said(1, 10n, 5n), said(2, 3n), said(3, 1n)], proven)).toEqual([3]);
});

test("a server that says more than there is does not get it shown", () => {
  const fixed = corrected([said(1, 1000n, 3n, 2n), said(3, 7n)], proven, (asset) => (asset === 2 ? { symbol: "A2", decimals: 2 } : undefined));
  expect(fixed).toEqual([said(1, 10n, 3n, 2n), said(2, 3n)]);
  expect(corrected([said(1, 0n, 0n, 99n)], proven, () => undefined)[0]).toMatchObject({ orders: 5n, withdrawing: 0n });
});

test("rows say which of them are proven", () => {
  expect(rowsOf([said(1, 10n, 5n), said(2, 4n)], proven, "A2", []).map((r) => [r.proven, r.value])).toEqual([[true, undefined], [false, 4n]]);
  expect(rowsOf([said(1, 10n, 5n)], undefined, "", [])[0]?.proven).toBe(false);
});
