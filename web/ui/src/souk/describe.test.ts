import { describe as group, expect, test } from "vitest";
import { type Body, kinds } from "./body.ts";
import { concat, fromHex } from "./bytes.ts";
import { parseChainAddress } from "./chain.ts";
import { BadCommand, commandOf, decodeSignBytes, signBytes } from "./command.ts";
import { type Description, Unclear, type World, describe, spanText } from "./describe.ts";
import { makesSense } from "./describe-order.ts";
import { Key } from "./keys.ts";
import { Random, allKinds, randomBody, thrown, vectors } from "./testing.ts";

const key = new Key(new Uint8Array(32).fill(5));
const vsid = new Uint8Array(32).fill(9);
const btc = { number: 1, symbol: "BTC", decimals: 8 };
const eur = { number: 2, symbol: "EUR", decimals: 2 };
const market = { number: 1, base: btc, quote: eur };
const order = { id: 9n, market: 1, side: "sell" as const, price: 6_000_000n, quantity: 100_000_000n };

const world: World = {
  vsid, account: key.address, now: 1_800_000_000_000,
  asset: (n) => [btc, eur].find((a) => a.number === n),
  market: (n) => (n === 1 ? market : undefined),
  bank: (n) => (n === 1 ? { number: 1, asset: btc, network: "bitcoin" } : undefined),
  order: (id) => (id === 9n ? order : undefined),
};

function bytesOf(body: Body): Uint8Array {
  return signBytes(vsid, commandOf(key, { nonce: 1n, expiry: 1_800_000_060_000n, body }));
}

const say = (body: Body): Description => describe(bytesOf(body), world);

function line(d: Description, label: string): string | undefined {
  return d.lines.find((l) => l.label === label)?.value;
}

const place = {
  kind: "place", market: 1, side: "buy", order: "limit", tif: "gtc", postOnly: false, price: 5_000_050n, quantity: 12_345n, quote: 0n,
  trigger: 0n, expiry: 0n, client: "",
} as const satisfies Body;

group("orders", () => {
  test("are said with what they cost at most", () => {
    const d = say(place);
    expect(d.title).toBe("Buy 0.00012345 BTC (limit order)");
    expect(line(d, "Market")).toBe("BTC-EUR");
    expect(line(d, "Limit price")).toBe("50\u2009000.5 EUR for 1 BTC");
    expect(line(d, "Costs at most")).toBe("6.18 EUR"); // 6.17256... rounded up
    expect(line(d, "Valid")).toBe("Until you cancel it");
    expect(d.moves).toBe(false);
    expect(line(say({ ...place, side: "sell" }), "Brings at least")).toBe("6.17 EUR");
    expect(line(say({ ...place, tif: "gtd", expiry: 1_800_000_000_000n }), "Valid")).toBe("Until 2027-01-15 08:00:00 UTC");
  });

  test("by amount, stops and take-profits say what starts them", () => {
    const by = say({ ...place, order: "market", tif: "ioc", quantity: 0n, quote: 10_000n });
    expect(by.title).toBe("Buy BTC for 100 EUR (market order)");
    expect(line(by, "Spend at most")).toBe("100 EUR");
    expect(line(by, "Worst price")).toBe("50\u2009000.5 EUR for 1 BTC");
    const rises = { buy: ["stop", "stop-limit"], sell: ["take-profit", "take-profit-limit"] } as const;
    for (const side of ["buy", "sell"] as const) {
      for (const kind of ["stop", "stop-limit", "take-profit", "take-profit-limit"] as const) {
        const text = line(say({ ...place, side, order: kind, trigger: 1n }), "Trigger price");
        expect(text).toMatch((rises[side] as readonly string[]).includes(kind) ? /rises/ : /falls/);
      }
    }
    const oco = say({
      kind: "place-oco", market: 1, side: "sell", stopLimit: false, quantity: 10n ** 8n, limit: 6_000_000n, trigger: 4_500_000n,
      price: 4_400_000n, expiry: 0n, limitClient: "", stopClient: "",
    });
    expect(line(oco, "Stop order")).toMatch(/falls to 45/);
    expect(line(oco, "Brings at least")).toBe("44\u2009000 EUR");
  });

  test("at market are held against the last trade, and cancels against the proven order", () => {
    const at = (last: bigint | undefined, side: "buy" | "sell" = "buy") =>
      describe(bytesOf({ ...place, side, order: "market", tif: "ioc" }), { ...world, last: () => last }).warnings;
    expect(at(4_900_000n)).toEqual([]);
    expect(at(4_000_000n)).toEqual(["This is up to 25 % worse than the last trade, 40\u2009000 EUR for 1 BTC."]);
    expect(at(6_000_000n)).toEqual([]);
    expect(at(6_000_000n, "sell")).toEqual(["This is up to 16 % worse than the last trade, 60\u2009000 EUR for 1 BTC."]);
    expect(at(0n)).toHaveLength(1);
    expect(at(undefined)).toHaveLength(1);
    expect(describe(bytesOf(place), { ...world, last: () => 1n }).warnings).toEqual([]); // who names a limit means it
    expect(say({ kind: "cancel", target: { order: 9n, client: "" } }).warnings).toEqual([]);
    expect(say({ kind: "cancel", target: { order: 8n, client: "" } }).warnings).toHaveLength(1);
    expect(say({ kind: "cancel", target: { order: 0n, client: "x" } }).warnings).toEqual([]);
  });

  test("that make no sense are not put into words", () => {
    for (const change of [
      { price: 0n }, { quantity: 0n }, { trigger: 1n }, { expiry: 1n }, { tif: "gtd" }, { quote: 1n }, { order: "market" },
      { order: "stop" }, { order: "market", tif: "ioc", quote: 5n }, { order: "market", tif: "fok", quantity: 0n, quote: 5n }, { tif: "ioc", postOnly: true },
    ] as Partial<Omit<Extract<Body, { kind: "place" }>, "kind">>[]) {
      expect(thrown(() => say({ ...place, ...change } as Body)), JSON.stringify(change, (_, v) => String(v))).toBeInstanceOf(Unclear);
    }
    expect(makesSense({ ...place, postOnly: true })).toBe(true);
  });

  test("that are changed are counted in the units of their own market (H-92)", () => {
    const d = say({ kind: "amend", target: { order: 9n, client: "" }, price: 0n, quantity: 5n * 10n ** 7n });
    expect(line(d, "Now")).toBe("Sell 1 BTC, 60\u2009000 EUR for 1 BTC");
    expect(line(d, "Brings at least")).toBe("30\u2009000 EUR");
    expect(() => say({ kind: "amend", target: { order: 8n, client: "" }, price: 0n, quantity: 1n })).toThrow(Unclear);
    expect(() => say({ kind: "amend", target: { order: 0n, client: "x" }, price: 0n, quantity: 1n })).toThrow(Unclear);
    expect(line(say({ kind: "cancel", target: { order: 8n, client: "" } }), "Order")).toBe("8");
  });
});

group("money", () => {
  const to = new Key(new Uint8Array(32).fill(6)).address;

  test("that is sent is said with the whole address", () => {
    const d = say({ kind: "transfer", to, asset: 2, amount: 100_000_000n, memo: "a\u202eb" });
    expect(d.title).toBe("Send 1\u2009000\u2009000 EUR");
    expect(line(d, "To")).toMatch(/^souk1[0-9a-z]{38}$/);
    expect(line(d, "Memo")).toBe("a\\u{202e}b"); // nothing turns the text around
    expect(d.moves).toBe(true);
    expect(say({ kind: "transfer", to: key.address, asset: 2, amount: 1n, memo: "" }).warnings[0]).toMatch(/your own/);
  });

  test("that is withdrawn is said with address, fee and sum", () => {
    const text = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4";
    const d = say({
      kind: "withdraw", bank: 1, output: parseChainAddress("bitcoin", text), amount: 10_000n, maxFee: 1_000n, salt: new Uint8Array(16),
    });
    expect(line(d, "To")).toBe(text);
    expect(line(d, "Network")).toBe("Bitcoin");
    expect(line(d, "Leaves your account, at most")).toBe("0.00011 BTC");
    expect(d.warnings[0]).toBe("The network fee may be 10 % of the amount.");
    expect(d.moves).toBe(true);
  });

  test("to an output without an address is not put into words", () => {
    const body = { kind: "withdraw", bank: 1, output: fromHex("6a00"), amount: 1n, maxFee: 0n, salt: new Uint8Array(16) } as const;
    expect(() => say(body)).toThrow(Unclear);
    expect(() => say({ kind: "set-withdrawals", delay: 0n, only: true, allowed: [body], salt: body.salt })).toThrow(Unclear);
  });
});

test("power over the account is said with its warnings", () => {
  const d = say({ kind: "add-delegate", key: new Uint8Array(32), scopes: 6, expiry: 0n, markets: [1] });
  expect(line(d, "It may")).toBe("trade, send money to other accounts");
  expect(line(d, "In")).toBe("BTC-EUR");
  expect(d.warnings).toHaveLength(2);
  expect(() => say({ kind: "add-delegate", key: new Uint8Array(32), scopes: 32, expiry: 0n, markets: [] })).toThrow(Unclear);
  expect(() => say({ kind: "add-delegate", key: new Uint8Array(32), scopes: 0, expiry: 0n, markets: [] })).toThrow(Unclear);
  expect(say({ kind: "remove-delegate", key: key.publicKey }).warnings).toHaveLength(1);
  expect(say({ kind: "set-withdrawals", delay: 5_400_000n, only: true, allowed: [], salt: new Uint8Array(16) }).warnings[0]).toMatch(/list is empty/);
});

group("what is not proven", () => {
  test("is not put into words", () => {
    for (const body of [
      { ...place, market: 2 }, { kind: "cancel-all", market: 7 }, { kind: "transfer", to: key.address, asset: 3, amount: 1n, memo: "" },
      { kind: "new-address", bank: 2, salt: new Uint8Array(16) },
    ] as Body[]) {
      expect(() => say(body)).toThrow(Unclear);
    }
    // An answer about another number is none.
    const wrong = { ...world, asset: () => eur };
    expect(() => describe(bytesOf({ kind: "transfer", to: key.address, asset: 1, amount: 1n, memo: "" }), wrong)).toThrow(Unclear);
  });

  test("another exchange or another account neither", () => {
    const bytes = bytesOf(place);
    expect(() => describe(bytes, { ...world, vsid: new Uint8Array(32) })).toThrow(Unclear);
    expect(() => describe(bytes, { ...world, account: new Uint8Array(20) })).toThrow(Unclear);
  });
});

test("whatever bytes are shown, they are put into words or refused", () => {
  const r = new Random(8);
  const titles = new Set<string>();
  for (let i = 0; i < 600; i++) {
    const bytes = bytesOf(randomBody(r, r.one(allKinds)));
    if (r.flag()) bytes[r.below(bytes.length)] = r.below(256);
    try {
      const d = describe(r.below(20) === 0 ? concat(bytes, Uint8Array.of(0)) : bytes, world);
      titles.add(d.title);
      expect(d.title).not.toMatch(/undefined|NaN/);
      for (const l of d.lines) expect(l.value).not.toMatch(/undefined|NaN|\[object/);
    } catch (error) {
      expect(error instanceof Unclear || error instanceof BadCommand).toBe(true);
    }
  }
  expect(titles.size).toBeGreaterThan(5);
});

test("every command of the specification's vectors is put into words", () => {
  type Vector = { kind: string; server: string; signBytes: string; body: string };
  for (const v of vectors<Vector[]>("docs/spec/vectors/commands.json").filter((x) => x.kind in kinds)) {
    const bytes = fromHex(v.signBytes);
    const { command } = decodeSignBytes(bytes);
    const any: World = {
      ...world, vsid: fromHex(v.server), account: command.account, asset: (number) => ({ ...eur, number }), market: (number) => ({ ...market, number }),
      bank: (number) => ({ number, asset: btc, network: "bitcoin" }), order: (id) => ({ ...order, id }),
    };
    const amendById = command.body.kind !== "amend" || command.body.target.order !== 0n;
    if (amendById) expect(describe(bytes, any).title.length, v.kind).toBeGreaterThan(5);
  }
});

test("lengths of time are exact", () => {
  expect(spanText(1000n)).toBe("1 second");
  expect(spanText(5_400_000n)).toBe("90 minutes");
  expect(spanText(172_800_000n)).toBe("2 days");
  expect(spanText(1500n)).toBe("1.5 seconds");
});
