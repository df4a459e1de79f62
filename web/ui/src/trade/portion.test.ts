import { expect, test } from "vitest";
import { formatUnits } from "../souk/amount.ts";
import { check, type World } from "./order.ts";
import { sized } from "./portion.ts";
import { emptyDraft, fitted, type Draft } from "./shape.ts";
import { random, terms } from "./testing.ts";

/** Drafts of all kinds, by quantity and by amount, with written and with chosen prices. */
function drafts(side: "buy" | "sell", price: string, trigger: string): Draft[] {
  const all: Partial<Draft>[] = [
    { kind: "limit", price },
    { kind: "market", price },
    { kind: "market", price: "" },
    { kind: "market", by: "amount", price: "" },
    { kind: "market", by: "amount", price },
    { kind: "stop", trigger, price: "" },
    { kind: "take-profit", trigger, price },
    { kind: "stop-limit", trigger, price },
    { kind: "oco", trigger, price, stopPrice: "" },
    { kind: "oco", trigger, price, stopPrice: trigger, stopLimit: true },
  ];
  return all.map((d) => fitted({ ...emptyDraft, side, ...d }));
}

test("no button of any kind of order ever spends more than there is, the command's fee included", () => {
  const below = random(3);
  let checked = 0;
  for (let i = 0; i < 60; i++) {
    const t = terms({ tick: BigInt(1 + below(100)), lot: BigInt(1 + below(20_000)), minNotional: 0n, reference: 0n });
    t.reference = t.tick * BigInt(1_000 + below(50_000));
    const level = (n: number) => ({ price: t.reference + t.tick * BigInt(n), quantity: t.lot * BigInt(1 + below(5_000)) });
    const world: World = {
      terms: t, asks: [1, 2, 5, 9, 30, 100].map(level), bids: [-1, -2, -5, -9, -30, -100].map(level), now: 0,
      available: { base: BigInt(below(2 ** 31)), quote: BigInt(below(2 ** 31)) }, fee: { base: BigInt(below(3)), quote: BigInt(below(3)) },
    };
    const price = formatUnits(t.reference + t.tick * BigInt(below(60) - 30), 2);
    const trigger = formatUnits(t.reference + t.tick * BigInt(below(60) - 30), 2);
    for (const side of ["buy", "sell"] as const) {
      for (const draft of drafts(side, price, trigger)) {
        for (const percent of [25n, 50n, 75n, 100n]) {
          const units = sized(draft, world, percent);
          if (units === undefined) throw new Error(`${draft.kind} has no size`);
          if (units === 0n) continue;
          const sizedDraft = draft.by === "amount" ? { ...draft, amount: formatUnits(units, 2) } : { ...draft, quantity: formatUnits(units, 8) };
          const { problems, estimate } = check(sizedDraft, world);
          // An amount may be worth less than a lot; nothing else may be wrong.
          if (draft.by === "amount" && side === "sell" && estimate?.hold === 0n) continue;
          const asset = side === "buy" ? "quote" : "base";
          const least = (world.available?.[asset] ?? 0n) - (world.fee?.[asset] ?? 0n);
          expect({ kind: draft.kind, problems, over: (estimate?.hold ?? 0n) > (least * percent) / 100n }).toEqual({ kind: draft.kind, problems: {}, over: false });
          checked++;
        }
      }
    }
  }
  expect(checked).toBeGreaterThan(2_000);
});

test("without a price, or without an account, there is nothing to count with", () => {
  const world: World = { terms: terms(), asks: [], bids: [], now: 0 };
  expect(sized({ ...emptyDraft, kind: "limit" }, { ...world, available: { base: 5n, quote: 5n } }, 100n)).toBeUndefined();
  expect(sized({ ...emptyDraft, price: "5" }, world, 100n)).toBeUndefined();
});
