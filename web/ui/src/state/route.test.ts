import { expect, test } from "vitest";
import { href, parseRoute } from "./route.svelte.ts";

test.each([
  ["", { view: "trade", rest: [] }],
  ["#/trade/BTC-EUR", { view: "trade", rest: ["BTC-EUR"] }],
  ["#/money/deposit/BTC", { view: "money", rest: ["deposit", "BTC"] }],
  ["#/start", { view: "start", rest: [] }],
  ["#/nonsense/<script>", { view: "trade", rest: [] }],
  ["#/trade/%E0%A4%A", { view: "trade", rest: [""] }],
])("the fragment %j", (fragment, want) => {
  expect(parseRoute(fragment)).toEqual(want);
});

test("links lead back to what they were made of", () => {
  expect(parseRoute(href("trade", "A/B-É"))).toEqual({ view: "trade", rest: ["A/B-É"] });
});
