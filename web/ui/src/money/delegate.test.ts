import { expect, test } from "vitest";
import { fromHex } from "../souk/bytes.ts";
import { text } from "../text.ts";
import { planDelegate } from "./delegate.ts";

const own = fromHex("11".repeat(32));
const other = "22".repeat(32);
const t = text.money.delegates;

test("what a key may do is a mask of what was chosen", () => {
  expect(planDelegate(own, { key: ` ${other.toUpperCase()} `, scopes: ["read", "trade"] }, 0)).toMatchObject({ ready: true, mask: 3, grave: false });
  expect(planDelegate(own, { key: other, scopes: ["withdraw"] }, 15)).toMatchObject({ ready: true, mask: 8, grave: true });
});

test("what is no key, or no power, is refused", () => {
  expect(planDelegate(own, { key: "<b>", scopes: ["read"] }, 0).errors.key).toBe(t.badKey);
  expect(planDelegate(own, { key: other.slice(1), scopes: ["read"] }, 0).errors.key).toBe(t.badKey);
  expect(planDelegate(own, { key: "11".repeat(32), scopes: ["read"] }, 0).errors.key).toBe(t.ownKey);
  expect(planDelegate(own, { key: other, scopes: [] }, 0)).toMatchObject({ ready: false, errors: { scopes: t.noScope } });
  expect(planDelegate(own, { key: other, scopes: ["read"] }, 16)).toMatchObject({ ready: false, errors: { scopes: t.tooMany } });
  expect(planDelegate(own, { key: "", scopes: ["read"] }, 0)).toMatchObject({ ready: false, errors: { key: "" } });
});
