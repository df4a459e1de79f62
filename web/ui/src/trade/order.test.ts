import { describe, expect, test } from "vitest";
import { check, type World } from "./order.ts";
import { emptyDraft, fitted, formKinds, mayPostOnly, tifsOf, type Draft } from "./shape.ts";
import { btc, eur, levels, terms } from "./testing.ts";

const t = terms({ tick: 100n, bandPpm: 100_000n, minNotional: eur("10") });
const world = (some: Partial<World> = {}): World => ({
  terms: t, bids: levels(t, ["49900", "1"]), asks: levels(t, ["50000", "1"]), now: Date.parse("2026-11-21T12:00:00Z"), ...some,
});
const draft = (some: Partial<Draft>): Draft => ({ ...emptyDraft, price: "50000", quantity: "0.1", ...some });
const problems = (d: Draft, w = world()) => Object.keys(check(d, w).problems);

describe("problems are said at their field before anything is sent (M-7 to M-11)", () => {
  test("what is right is a body", () => {
    expect(check(draft({}), world()).body).toEqual({
      kind: "place", market: 1, side: "buy", order: "limit", tif: "gtc", postOnly: false, price: eur("50000"), quantity: btc("0.1"),
      quote: 0n, trigger: 0n, expiry: 0n, client: "",
    });
  });

  test("what is empty is no problem, and no order", () => {
    const c = check(draft({ price: "" }), world());
    expect(c.problems).toEqual({});
    expect(c.body).toBeUndefined();
  });

  test.each([
    ["tick", { price: "50000.5" }, "price"],
    ["zero", { price: "0" }, "price"],
    ["not a number", { price: "fifty" }, "price"],
    ["band", { price: "55001" }, "price"],
    ["lot", { quantity: "0.00005" }, "quantity"],
    ["decimals", { quantity: "0.123456789" }, "quantity"],
    ["minimum", { quantity: "0.0001" }, "quantity"],
    ["too many lots", { quantity: "109951162.7776" }, "quantity"],
    ["trigger's tick", { kind: "stop", trigger: "49500.5" }, "trigger"],
    ["past", { tif: "gtd", expiry: "2020-01-01T00:00" }, "expiry"],
    ["client", { client: "a b" }, "client"],
  ] satisfies [string, Partial<Draft>, string][])("%s", (_, some, field) => {
    expect(problems(draft(some))).toEqual([field]);
    expect(check(draft(some), world()).body).toBeUndefined();
  });

  test("the steps next to what was written are named", () => {
    expect(check(draft({ price: "50000.5" }), world()).problems.price?.replaceAll("\u2009", " ")).toBe("Prices go in steps of 1: 50 000 or 50 001.");
  });

  test("the band's ends are allowed", () => {
    for (const price of ["45000", "55000"]) expect(problems(draft({ price, quantity: "0.1" }))).toEqual([]);
  });

  test("of a stop the band goes around its trigger (M-8), and its minimum is counted there (M-10)", () => {
    expect(problems(draft({ kind: "stop-limit", trigger: "40000", price: "36000" }))).toEqual([]);
    expect(problems(draft({ kind: "stop-limit", trigger: "40000", price: "35999" }))).toEqual(["price"]);
    expect(problems(draft({ kind: "stop", side: "sell", trigger: "49500", price: "", quantity: "0.0002" }))).toEqual(["quantity"]);
    expect(problems(draft({ kind: "stop", side: "sell", trigger: "50000", price: "", quantity: "0.0002" }))).toEqual([]);
  });

  test("money: the hold and the command's fee must be there", () => {
    const available = { base: 0n, quote: eur("5000") };
    expect(problems(draft({}), world({ available }))).toEqual([]);
    expect(problems(draft({}), world({ available, fee: { base: 0n, quote: 1n } }))).toEqual(["quantity"]);
    expect(problems(draft({ side: "sell" }), world({ available }))).toEqual(["quantity"]);
  });

  test("client ids that live, and the two of an OCO", () => {
    expect(problems(draft({ client: "x" }), world({ clients: new Set(["x"]) }))).toEqual(["client"]);
    expect(problems(draft({ kind: "oco", side: "sell", price: "51000", trigger: "49000", client: "x", stopClient: "x" }))).toEqual(["stopClient"]);
  });

  test("a paused market admits nothing", () => {
    expect(problems(draft({}), world({ terms: { ...t, paused: true } }))).toEqual(["price"]);
  });
});

describe("orders at market", () => {
  test("have a worst price, which the form chooses unless it is written", () => {
    const c = check(draft({ kind: "market", tif: "ioc", price: "" }), world());
    expect(c.chosen?.price).toBe(eur("50500"));
    expect(c.body).toMatchObject({ order: "market", tif: "ioc", price: eur("50500"), quantity: btc("0.1") });
    expect(check(draft({ kind: "market", tif: "ioc", price: "50100" }), world()).body).toMatchObject({ price: eur("50100") });
  });

  test("by amount", () => {
    const c = check(draft({ kind: "market", tif: "ioc", by: "amount", amount: "1000", price: "" }), world());
    expect(c.body).toMatchObject({ quantity: 0n, quote: eur("1000") });
    expect(problems(draft({ kind: "market", tif: "ioc", by: "amount", amount: "9.99", price: "" }))).toEqual(["amount"]);
    expect(problems(draft({ kind: "market", tif: "ioc", by: "amount", side: "sell", amount: "4", price: "" }), world({ terms: { ...t, minNotional: 1n } }))).toEqual(["amount"]);
  });
});

test("oco.txt: one hold for both legs, the larger of both needs (M-17)", () => {
  const d = draft({ kind: "oco", side: "sell", quantity: "1", price: "52000", trigger: "49000", stopPrice: "48500" });
  const c = check(d, world({ available: { base: btc("1"), quote: 0n } }));
  expect(c.problems).toEqual({});
  expect(c.body).toEqual({
    kind: "place-oco", market: 1, side: "sell", stopLimit: false, quantity: btc("1"), limit: eur("52000"), trigger: eur("49000"),
    price: eur("48500"), expiry: 0n, limitClient: "", stopClient: "",
  });
  const buy = check(draft({ kind: "oco", side: "buy", quantity: "1", price: "48000", trigger: "51000", stopPrice: "51500" }), world());
  expect(buy.estimate?.hold).toBe(eur("51500"));
  expect(problems(draft({ kind: "oco", side: "buy", quantity: "1", price: "48000", trigger: "51000", stopPrice: "51500" }), world({ available: { base: 0n, quote: eur("51499.99") } }))).toEqual(["quantity"]);
});

describe("warnings", () => {
  const warned = (d: Draft, w = world()) => check(d, w).warnings.length;
  test("of what would end at once, and of what is perhaps not meant", () => {
    expect(warned(draft({ price: "49000" }))).toBe(0);
    expect(warned(draft({ postOnly: true }))).toBe(1);
    expect(warned(draft({ tif: "fok", quantity: "2" }))).toBe(1);
    expect(warned(draft({ kind: "market", tif: "ioc", price: "", quantity: "2" }))).toBe(1);
    expect(warned(draft({ kind: "stop", trigger: "49000", price: "" }))).toBe(1);
    expect(warned(draft({ kind: "stop", trigger: "51000", price: "" }))).toBe(0);
    expect(warned(draft({ kind: "take-profit", side: "sell", trigger: "51000", price: "" }))).toBe(0);
    expect(warned(draft({ price: "53000" }))).toBe(1);
    expect(warned(draft({}), world({ own: [{ side: "sell", price: eur("50000") }] }))).toBe(1);
    expect(warned(draft({ price: "49950" }), world({ own: [{ side: "sell", price: eur("50000") }] }))).toBe(0);
  });
});

test("the shapes of M-7", () => {
  expect(Object.fromEntries(formKinds.map((k) => [k, tifsOf(k, false).join(" ")]))).toEqual({
    limit: "gtc gtd ioc fok", market: "ioc fok", stop: "gtc gtd", "stop-limit": "gtc gtd ioc", "take-profit": "gtc gtd",
    "take-profit-limit": "gtc gtd ioc", oco: "gtc gtd",
  });
  expect(tifsOf("market", true)).toEqual(["ioc"]);
  expect(mayPostOnly("limit", "gtd")).toBe(true);
  expect(mayPostOnly("limit", "ioc")).toBe(false);
  expect(mayPostOnly("stop", "gtc")).toBe(false);
  expect(fitted({ ...emptyDraft, kind: "market", postOnly: true })).toMatchObject({ tif: "ioc", postOnly: false });
  expect(fitted({ ...emptyDraft, kind: "limit", by: "amount" })).toMatchObject({ by: "quantity", tif: "gtc" });
});
