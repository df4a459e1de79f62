import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { BadAddress } from "../souk/address.ts";
import { fromHex, hex } from "../souk/bytes.ts";
import { chainAddress, networkNames } from "../souk/chain.ts";
import { depthOf, networkOf, payTo, uriOf, type Network } from "./networks.ts";

const testdata = (name: string): string => readFileSync(new URL(`../../../../script/testdata/${name}`, import.meta.url), "utf8");
const tip = 5_000_000;

function network(name: string): Network {
  const n = networkOf(name);
  if (!n) throw new Error(`no network ${name}`);
  return n;
}

/** What is said of a text that is refused. */
function refusal(name: string, text: string): string {
  try {
    throw new Error(`${text} is read as ${hex(payTo(network(name), text, tip))}`);
  } catch (error) {
    if (error instanceof BadAddress) return error.message;
    throw error;
  }
}

test("the table has every network whose addresses the page reads", () => {
  expect(networkNames.filter((n) => !networkOf(n))).toEqual([]);
});

describe("addresses to pay to", () => {
  const file = JSON.parse(testdata("bip350.json")) as { valid: { address: string; script: string }[]; invalid: { address: string; error: string }[] };
  const of = (a: string) => network(a.toLowerCase().startsWith("tb1") ? "bitcoin-testnet4" : "bitcoin");

  test("X-30: the vectors of BIP-350", () => {
    expect(file.valid).toHaveLength(5);
    for (const v of file.valid) {
      const out = payTo(of(v.address), v.address, tip);
      expect(hex(out)).toBe(v.script);
      expect(chainAddress(of(v.address).name, out)).toBe(v.address.toLowerCase());
    }
  });

  test.each(file.invalid)("X-34: $address is refused ($error)", (v) => {
    expect(refusal(of(v.address).name, v.address)).not.toBe("");
  });

  test("X-30: addresses that nodes of Namecoin and Litecoin gave", () => {
    const v = JSON.parse(testdata("vault.json")) as { output: string; spends: { network: string; address: string; outputs: { address: string; script: string }[] }[] };
    for (const s of v.spends) {
      for (const x of [{ address: s.address, script: v.output }, ...s.outputs]) {
        expect(hex(payTo(network(s.network), x.address, tip))).toBe(x.script);
        expect(chainAddress(s.network, fromHex(x.script))).toBe(x.address);
      }
    }
  });

  const mweb = "qq" + "qpzry9x8gf2tvdw0s3jn54khce6mua7l".repeat(4);
  test.each([
    ["nothing", "bitcoin", "", /./],
    ["too long", "bitcoin", "1".repeat(91), /./],
    ["letters that are none of ours", "bitcoin", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t€", /./],
    ["a letter that looks alike", "bitcoin", "bс1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", /./],
    ["a space inside", "bitcoin", "bc1qw508d6qejxtdg4y5 r3zarvary0c5xw7kv8f3t4", /./],
    ["mixed case", "bitcoin", "bc1qW508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", /mixed/],
    ["mistyped", "bitcoin", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5", /again/],
    ["mistyped with a 1 at the end", "bitcoin-regtest", "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt081", /again/],
    ["mistyped with a letter that there is not", "bitcoin", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3tb", /again/],
    ["mistyped in base58", "bitcoin", "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN3", /again/],
    ["a letter base58 has not", "bitcoin", "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVNl", /./],
    ["a name", "bitcoin", "alice", /./],
    ["markup", "bitcoin", "<img/src=x/onerror=alert(1)>", /./],
    ["another chain", "litecoin", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", /Bitcoin.*Litecoin/],
    ["the test network", "bitcoin", "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7", /testnet4/],
    ["the real network on regtest", "bitcoin-regtest", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", /regtest/],
    ["another network in base58", "namecoin", "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2", /Bitcoin.*Namecoin/],
    ["Bitcoin's key hash on Litecoin", "litecoin", "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2", /Bitcoin.*Litecoin/],
    ["an unknown network in base58", "bitcoin", "DFundmtrigzA6E25Swr2pRe4Eb79bGP8G1", /./],
    ["MWEB", "litecoin", "ltcmweb1" + mweb, /MWEB/],
    ["MWEB in capitals", "litecoin", ("ltcmweb1" + mweb).toUpperCase(), /MWEB/],
    ["MWEB of the test networks", "litecoin-regtest", "tmweb1" + mweb, /MWEB/],
    ["MWEB on Bitcoin", "bitcoin", "ltcmweb1" + mweb, /MWEB/],
    ["only the beginning", "bitcoin", "bc1", /./],
    ["a private key", "bitcoin", "5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTJ", /./],
    ["taproot on Namecoin", "namecoin", "nc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqwcjyth", /./],
    ["an account of the exchange", "bitcoin", "souk1qyqszqgpqyqszqgpqyqszqgpqyqszqgp4g0u2v", /./],
  ])("X-31 to X-35: %s", (_, name, text, says) => {
    expect(refusal(name, text)).toMatch(says);
  });

  test("X-31: Litecoin reads both forms of P2SH and writes the new one", () => {
    const out = "a914389ffce9cd9ae88dcc0631e88a821ffdbe9bfe2687";
    const written = chainAddress("litecoin", fromHex(out));
    expect(written).toMatch(/^M/);
    for (const text of [written, chainAddress("bitcoin", fromHex(out))]) expect(hex(payTo(network("litecoin"), text, tip))).toBe(out);
  });

  test("X-22: what is paid to taproot without a point of the curve is lost", () => {
    const p = "fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f";
    const good = ["79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798", "50929b74c1a04954b78b4b6035e97a5e078a5a0f28ec96d547bfee9ace803ac0"];
    const bad = ["00".repeat(32), "00".repeat(31) + "05", p, p.slice(0, 62) + "30", "4a298dacae57395a15d0795ddbfd1dcb564da82b0f269bc70a74f8220429ba1d"];
    for (const x of good) expect(hex(payTo(network("bitcoin"), chainAddress("bitcoin", fromHex("5120" + x)), tip))).toBe("5120" + x);
    for (const x of bad) expect(refusal("bitcoin", chainAddress("bitcoin", fromHex("5120" + x)))).not.toBe("");
  });

  test("X-21: an output that its network does not protect yet is refused", () => {
    const taproot = chainAddress("litecoin", fromHex("512079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"));
    expect(() => payTo(network("litecoin"), taproot, 2_000_000)).toThrow("2257920");
    const key = chainAddress("bitcoin", fromHex("0014751e76e8199196d454941c45d1b3a323f1433bd6"));
    expect(() => payTo(network("bitcoin"), key, 481_822)).toThrow("481824");
    expect(payTo(network("bitcoin"), key, 481_823)).toHaveLength(22);
    expect(payTo(network("bitcoin"), chainAddress("bitcoin", fromHex("76a914751e76e8199196d454941c45d1b3a323f1433bd688ac")), 1)).toHaveLength(25);
  });

  test("every form of output is written and read back on every network", () => {
    const hash = "751e76e8199196d454941c45d1b3a323f1433bd6";
    for (const name of networkNames) {
      for (const s of [`76a914${hash}88ac`, `a914${hash}87`, `0014${hash}`, `0020${"07".repeat(32)}`]) {
        expect(hex(payTo(network(name), chainAddress(name, fromHex(s)), tip))).toBe(s);
      }
    }
    expect(() => chainAddress("bitcoin", fromHex("6a0401020304"))).toThrow(BadAddress);
  });

  test("one character changed is never an address", () => {
    const good = "bcrt1qqmz3teggchackfxltngnfvch94m2unjt5pl3gs7tu7t9pqgq74kqyd2dfw";
    const n = network("bitcoin-regtest");
    expect(uriOf(n, good)).toBe(`bitcoin:${good}`);
    payTo(n, good, tip);
    for (let i = 5; i < good.length; i++) {
      for (const c of "qpzry9x8gf2tvdw0s3jn54khce6mua7l") {
        if (c !== good[i]) expect(() => payTo(n, good.slice(0, i) + c + good.slice(i + 1), tip)).toThrow(BadAddress);
      }
    }
  });
});

test("X-12: how deep a payment must be goes by the sum", () => {
  const b = network("bitcoin");
  expect([1n, 100_000_000n, 100_000_001n, 1_000_000_000n, 10_000_000_000n, 10_000_000_001n].map((x) => depthOf(b, x))).toEqual([3, 3, 6, 6, 12, 36]);
  expect(depthOf(network("litecoin"), 1n)).toBe(24);
});
