import { describe, expect, test } from "vitest";
import { Candles, startOf } from "./candles.ts";
import { Frames, type Clock } from "./frames.ts";
import { printed, readPrint, tapeLength, type Print } from "./tape.ts";
import { changeOf, changeSign, changeText, searched } from "./ticker.ts";
import { terms } from "./testing.ts";
import { explain, parted, stepsOf } from "./why.ts";

const print = (id: number, some: Partial<Print> = {}): Print => ({
  id, price: 5_000_000n, quantity: 100_000_000n, side: "buy", inner: false, height: 9, time: 0, ...some,
});

describe("tape", () => {
  test("newest first, each trade once, no longer than it is shown", () => {
    let tape: readonly Print[] = printed([], [print(1), print(2)]);
    tape = printed(tape, [print(2), print(3)]);
    expect(tape.map((p) => p.id)).toEqual([3, 2, 1]);
    expect(printed(tape, [print(3)])).toBe(tape);
    for (let id = 4; id < 500; id++) tape = printed(tape, [print(id)]);
    expect(tape.length).toBe(tapeLength);
  });

  test("reads a trade", () => {
    const t = { id: 1, market: 1, symbol: "BTC-EUR", price: "50000.00", quantity: "0.10000000", maker: 1, taker: 2, side: "buy", inner: false, height: 1, time: 2 } as const;
    expect(readPrint(t, terms())).toMatchObject({ price: 5_000_000n, quantity: 10_000_000n, side: "buy" });
  });
});

describe("candles (H-120)", () => {
  const at = (text: string) => Date.parse(text);
  test("begin in UTC, weeks on Mondays", () => {
    const time = at("2026-11-22T12:34:56Z"); // a Sunday
    expect(startOf(time, "15m")).toBe(at("2026-11-22T12:30:00Z"));
    expect(startOf(time, "4h")).toBe(at("2026-11-22T12:00:00Z"));
    expect(startOf(time, "1d")).toBe(at("2026-11-22T00:00:00Z"));
    expect(startOf(time, "1w")).toBe(at("2026-11-16T00:00:00Z"));
    expect(startOf(at("2026-11-23T00:00:00Z"), "1w")).toBe(at("2026-11-23T00:00:00Z"));
  });

  const start = at("2026-11-22T12:00:00Z");
  const bar = { start, open: "1", high: "2", low: "0.5", close: "1.5", volume: "3", value: "4", trades: 2 };
  test("trades change the last one, time makes flat ones", () => {
    const candles = new Candles("1m");
    candles.load({ candles: [bar], height: 5 });
    expect(candles.take(5, [{ price: "9", quantity: "1", time: start }])).toEqual([]);
    expect(candles.take(6, [{ price: "2.5", quantity: "1", time: start + 59_000 }])).toMatchObject([{ start, high: 2.5, close: 2.5, volume: 4 }]);
    const made = candles.take(7, [{ price: "3", quantity: "2", time: start + 125_000 }, { price: "2", quantity: "1", time: start + 125_000 }]);
    expect(made.map((b) => [b.start - start, b.open, b.high, b.low, b.close, b.volume])).toEqual([
      [60_000, 2.5, 2.5, 2.5, 2.5, 0],
      [120_000, 3, 3, 2, 2, 3],
    ]);
    expect(candles.pass(start + 185_000)).toMatchObject([{ start: start + 180_000, open: 2, volume: 0 }]);
    expect(candles.bars.length).toBe(4);
  });

  test("older ones go before, and nothing grows without end", () => {
    const candles = new Candles("1m");
    candles.load({ candles: [bar], height: 5 });
    expect(candles.prepend({ candles: [{ ...bar, start: start - 60_000 }, bar] })).toBe(1);
    expect(candles.bars.map((b) => b.start - start)).toEqual([-60_000, 0]);
    for (let i = 1; i < 3_000; i++) candles.take(5 + i, [{ price: "1", quantity: "1", time: start + i * 60_000 }]);
    expect(candles.bars.length).toBe(1500);
  });
});

describe("redraws", () => {
  test("at most one in 100 ms, however many are asked for, and always the last one", () => {
    let now = 0;
    const due: { at: number; run: () => void }[] = [];
    const clock: Clock = {
      now: () => now,
      frame: (run) => due.push({ at: now + 16, run }),
      later: (run, ms) => due.push({ at: now + ms, run }),
      cancelFrame: () => {},
      cancelLater: () => {},
    };
    const drawn: number[] = [];
    const frames = new Frames(() => drawn.push(now), 100, clock);
    for (now = 0; now < 1_000; now++) {
      if (now % 10 === 0 && now < 900) frames.ask();
      for (const d of due.splice(0)) {
        if (d.at <= now) d.run();
        else due.push(d);
      }
    }
    expect(drawn.length).toBeGreaterThan(7);
    for (let i = 1; i < drawn.length; i++) expect((drawn[i] as number) - (drawn[i - 1] as number)).toBeGreaterThanOrEqual(100);
    expect(drawn.at(-1)).toBeGreaterThanOrEqual(890);
    expect(due.length).toBeLessThan(2);
  });
});

describe("markets", () => {
  test("change", () => {
    expect(changeText(changeOf({ last: 10_125n, before: 10_000n }))).toBe("+1.25 %");
    expect(changeText(changeOf({ last: 9_999n, before: 30_000n }))).toBe("−66.67 %");
    expect(changeText(changeOf({ last: 5n, before: undefined }))).toBe("–");
    expect([changeSign(1n), changeSign(-1n), changeSign(0n)]).toEqual(["▲", "▼", ""]);
  });

  test("search", () => {
    const list = [{ symbol: "BTC-EUR" }, { symbol: "LTC-BTC" }, { symbol: "LTC-EUR" }];
    expect(searched(list, "ltc eur").map((m) => m.symbol)).toEqual(["LTC-EUR"]);
    expect(searched(list, "btc").length).toBe(2);
    expect(searched(list, "btc/eur").map((m) => m.symbol)).toEqual(["BTC-EUR"]);
    expect(searched(list, "")).toEqual(list);
  });
});

describe("why this price", () => {
  const price = (n: number) => BigInt(n) * 100n;
  const block = [
    print(11, { inner: true, price: price(50_000), quantity: 3n }),
    print(12, { inner: true, price: price(50_000), quantity: 1n }),
    print(13, { price: price(50_100), quantity: 2n }),
    print(14, { price: price(50_100), quantity: 2n }),
    print(15, { price: price(50_200), quantity: 1n }),
  ];
  const before = print(7, { height: 8, price: price(50_000) });

  test("parts an answer into the block and what was before", () => {
    const answer = [...block].reverse();
    expect(parted([...answer, before], 9, true)).toEqual({ trades: block, before, whole: true });
    expect(parted(answer, 9, false)).toEqual({ trades: block, before: undefined, whole: true });
    expect(parted(answer, 9, true).whole).toBe(false);
  });

  test("adds up the steps of the auction", () => {
    expect(stepsOf(block)).toEqual([
      { kind: "inner", side: "buy", price: price(50_000), volume: 4n, trades: 2 },
      { kind: "sweep", side: "buy", price: price(50_100), volume: 4n, trades: 2 },
      { kind: "sweep", side: "buy", price: price(50_200), volume: 1n, trades: 1 },
    ]);
  });

  test("of the inner cross: volume, reference, what went on into the book", () => {
    expect(explain({ id: 12, role: "taker" }, block, before, true)).toMatchObject({
      rule: "inner", volume: 4n, trades: 2, reference: price(50_000), atReference: true, swept: 5n, sweptBy: "buy", whole: true,
    });
  });

  test("of a sweep: the maker's price", () => {
    expect(explain({ id: 13, role: "maker" }, block, before, true)).toMatchObject({ rule: "maker", volume: 4n, reference: price(50_000), atReference: false });
    expect(explain({ id: 15, role: "taker" }, block, undefined, true)).toMatchObject({ rule: "taker", volume: 1n, reference: undefined });
    expect(explain({ id: 99, role: "taker" }, block, undefined, true)).toBeUndefined();
  });
});
