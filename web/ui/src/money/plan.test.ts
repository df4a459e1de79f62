import { describe, expect, test } from "vitest";
import { chainAddress } from "../souk/chain.ts";
import { encodeAddress } from "../souk/address.ts";
import { fromHex, hex } from "../souk/bytes.ts";
import { text } from "../text.ts";
import { networkOf } from "./networks.ts";
import { planWithdrawal, shareOf, type Ground, type Wish } from "./plan.ts";
import { noRules } from "./rules.ts";

const network = networkOf("bitcoin-regtest");
if (!network) throw new Error("no network");
const coin = 100_000_000n;
const output = fromHex("0014751e76e8199196d454941c45d1b3a323f1433bd6");
const address = chainAddress("bitcoin-regtest", output);
const ground: Ground = {
  bank: 1, symbol: "BTC", network, tip: 200, limits: { minDeposit: 1000n, minWithdrawal: 10_000n, maxPerHour: 100n * coin, delayAbove: coin, delay: 86_400_000 },
  signers: { threshold: 3, keys: 4 }, rate: 2000n, available: 2n * coin, held: 0n, rules: noRules, halted: false, own: new Set(),
};
const plan = (wish: Partial<Wish>, some: Partial<Ground> = {}) => planWithdrawal({ ...ground, ...some }, { address, amount: "", all: false, bound: "", ...wish });
const t = text.money.withdraw;

describe("a withdrawal in the form", () => {
  test("amount, bound and delay of a good one", () => {
    const p = plan({ amount: "0.5" });
    expect(p).toMatchObject({ ready: true, amount: coin / 2n, errors: { address: "", amount: "", bound: "" }, warnings: [] });
    expect(hex(p.output ?? new Uint8Array())).toBe(hex(output));
    expect(p.estimate).toBe(432n); // 216 virtual bytes at 2 units each
    expect(p.maxFee).toBe(3n * p.estimate);
    expect(p.delay).toContain("1 BTC");
  });

  test("nothing is ready before it is whole", () => {
    expect(plan({}).ready).toBe(false);
    expect(plan({ amount: "1", address: "" })).toMatchObject({ ready: false, errors: { address: "" } });
  });

  test("all leaves exactly the bound of the fee", () => {
    const p = plan({ all: true });
    expect(p.amount + p.maxFee).toBe(2n * coin);
    expect(p.ready).toBe(true);
    expect(plan({ all: true }, { available: 100n })).toMatchObject({ ready: false, errors: { amount: t.least("0.0001 BTC") } });
  });

  test.each([
    ["too little", "0.00009", t.least("0.0001 BTC")],
    ["above the hourly limit", "100.00000001", t.most("100 BTC")],
    ["more than there is", "2", t.short("0.00001296 BTC")],
    ["no number", "1e3", /not a number/],
    ["negative", "-1", /negative/],
    ["too many decimals", "0.000000001", /decimals/],
    ["markup", "<script>", /not a number/],
  ])("%s is refused", (_, amount, says) => {
    const p = plan({ amount });
    expect(p.ready).toBe(false);
    expect(p.errors.amount).toMatch(says);
  });

  test("what is in orders is told when money is short", () => {
    expect(plan({ amount: "2" }, { held: coin }).errors.amount).toBe(t.shortHeld("0.00001296 BTC", "1 BTC"));
  });

  test("a fee that is much for the amount must be named by the user", () => {
    expect(plan({ amount: "0.0001" }).errors.amount).toBe(t.dear("0.00000432 BTC"));
    expect(plan({ amount: "0.0001", bound: "0.00001" })).toMatchObject({ ready: true, maxFee: 1000n });
  });

  test("a server's rate can make the bound no larger than members may pay", () => {
    expect(plan({ amount: "1" }, { rate: 10n ** 18n }).estimate).toBe(216_000n);
  });

  test("bounds: too low, below the rate, nonsense", () => {
    expect(plan({ amount: "1", bound: "0.0000003" }).errors.bound).toBe(t.boundLow("0.00000031 BTC"));
    expect(plan({ amount: "1", bound: "0.00000100" })).toMatchObject({ ready: true, warnings: [t.boundBelow("0.00000432 BTC")] });
    expect(plan({ amount: "1", bound: "x" }).ready).toBe(false);
  });

  test("addresses: of the account itself, of the exchange, of another chain", () => {
    expect(plan({ amount: "1" }, { own: new Set([hex(output)]) })).toMatchObject({ ready: false, errors: { address: t.own } });
    expect(plan({ amount: "1" }, { own: undefined })).toMatchObject({ ready: true, warnings: [t.ownUnknown] });
    expect(plan({ amount: "1", address: encodeAddress(new Uint8Array(20)) }).errors.address).toBe(t.souk);
    expect(plan({ amount: "1", address: chainAddress("litecoin-regtest", output) }).errors.address).toMatch(/Litecoin/);
    expect(plan({ amount: "1", address: `  ${address}  ` }).ready).toBe(true);
  });

  test("Y-61: what the settings say of the delay", () => {
    const allowed = { ...noRules, only: true, allowed: [{ bank: 1, output }] };
    expect(plan({ amount: "1" }, { rules: allowed })).toMatchObject({ ready: true, delay: t.noneAllowed });
    expect(plan({ amount: "1" }, { rules: { ...allowed, allowed: [{ bank: 2, output }] } })).toMatchObject({ ready: false, errors: { address: t.onlyAllowed } });
    expect(plan({ amount: "1.5" }).delay).toBe(t.firstPaid("1 day", t.none));
    expect(plan({ amount: "1.5" }, { rules: { ...noRules, delay: 172_800_000 } }).delay).toBe(t.bySettings("2 days"));
  });

  test("halts and a missing rate are warned of", () => {
    expect(plan({ amount: "1" }, { halted: true, rate: 0n }).warnings).toEqual([t.noRate, t.halted]);
  });
});

test("shares leave the bound of the fee", () => {
  expect([25, 50, 75, 100].map((p) => shareOf(2n * coin, 1296n, p))).toEqual(["0.5", "1", "1.5", "1.99998704"]);
  expect(shareOf(1000n, 1296n, 50)).toBe("0");
});
