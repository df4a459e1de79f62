import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { fromHex, hex } from "./bytes.ts";
import { addressFor, BadPayee, checkPayable, depthOf, networkOf, networks, payTo, type Network } from "./networks.ts";

const testdata = (name: string): string => readFileSync(new URL(`../../../../script/testdata/${name}`, import.meta.url), "utf8");

function network(name: string): Network {
  const n = networkOf(name);
  if (!n) throw new Error(`no network ${name}`);
  return n;
}

/** Why a text is refused. */
function refusal(name: string, text: string): BadPayee {
  try {
    throw new Error(`${text} is read as ${hex(payTo(network(name), text))}`);
  } catch (error) {
    if (error instanceof BadPayee) return error;
    throw error;
  }
}

describe("addresses of chains", () => {
  const file = JSON.parse(testdata("bip350.json")) as { valid: { address: string; script: string }[]; invalid: { address: string; error: string }[] };
  const of = (a: string) => network(a.toLowerCase().startsWith("tb1") ? "bitcoin-testnet4" : "bitcoin");

  test("X-30: the vectors of BIP-350", () => {
    expect(file.valid).toHaveLength(5);
    for (const v of file.valid) {
      const out = payTo(of(v.address), v.address);
      expect(hex(out)).toBe(v.script);
      expect(addressFor(of(v.address), out)).toBe(v.address.toLowerCase());
    }
  });

  test.each(file.invalid)("X-34: $address is refused ($error)", (v) => {
    expect(refusal(of(v.address).name, v.address).reason).toBe(v.error);
  });

  test("X-30: addresses that nodes of Namecoin and Litecoin gave", () => {
    const v = JSON.parse(testdata("vault.json")) as { output: string; spends: { network: string; address: string; outputs: { address: string; script: string }[] }[] };
    for (const s of v.spends) {
      for (const x of [{ address: s.address, script: v.output }, ...s.outputs]) {
        expect(hex(payTo(network(s.network), x.address))).toBe(x.script);
        expect(addressFor(network(s.network), fromHex(x.script))).toBe(x.address);
      }
    }
  });

  const mweb = "qq" + "qpzry9x8gf2tvdw0s3jn54khce6mua7l".repeat(4);
  test.each([
    ["nothing", "bitcoin", "", "syntax", "Write"],
    ["too long", "bitcoin", "1".repeat(91), "syntax", "90"],
    ["spaces", "bitcoin", " bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "syntax", "spaces"],
    ["no letters of ours", "bitcoin", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t€", "syntax", "special"],
    ["a letter that looks alike", "bitcoin", "bс1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "syntax", "special"],
    ["mixed case", "bitcoin", "bc1qW508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "syntax", "mixed"],
    ["mistyped", "bitcoin", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5", "checksum", "Copy"],
    ["mistyped with a 1 at the end", "bitcoin-regtest", "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt081", "syntax", "Copy"],
    ["mistyped with a letter that there is not", "bitcoin", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3tb", "syntax", "Copy"],
    ["mistyped in base58", "bitcoin", "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN3", "checksum", "Copy"],
    ["a letter base58 has not", "bitcoin", "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVNl", "syntax", "not an address"],
    ["a name", "bitcoin", "alice", "syntax", "not an address"],
    ["markup", "bitcoin", "<img/src=x/onerror=alert(1)>", "syntax", "not an address"],
    ["another chain", "litecoin", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "network", "Bitcoin. This bank pays on Litecoin"],
    ["the test network", "bitcoin", "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7", "network", "testnet4"],
    ["the real network on regtest", "bitcoin-regtest", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "network", "regtest"],
    ["another network in base58", "namecoin", "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2", "network", "Bitcoin. This bank pays on Namecoin"],
    ["Bitcoin's key hash on Litecoin", "litecoin", "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2", "network", "Litecoin"],
    ["an unknown network in base58", "bitcoin", "DFundmtrigzA6E25Swr2pRe4Eb79bGP8G1", "network", "another network"],
    ["MWEB", "litecoin", "ltcmweb1" + mweb, "mweb", "ordinary Litecoin address"],
    ["MWEB in capitals", "litecoin", ("ltcmweb1" + mweb).toUpperCase(), "mweb", "ltcmweb1"],
    ["MWEB of the test networks", "litecoin-regtest", "tmweb1" + mweb, "mweb", "tmweb1"],
    ["only the beginning", "bitcoin", "bc1", "syntax", ""],
    ["a private key", "bitcoin", "5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTJ", "syntax", "not an address"],
    ["taproot on Namecoin", "namecoin", addressFor({ ...network("namecoin"), taprootHeight: 1 }, fromHex("5120" + "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")) ?? "", "inactive", "no taproot"],
  ])("X-31 to X-35: %s", (_, name, text, reason, says) => {
    const error = refusal(name, text);
    expect(error.reason).toBe(reason);
    expect(error.message).toContain(says);
  });

  test("X-31: Litecoin reads both forms of P2SH and writes the new one", () => {
    const out = fromHex("a914389ffce9cd9ae88dcc0631e88a821ffdbe9bfe2687");
    for (const name of ["litecoin", "litecoin-testnet", "litecoin-regtest"]) {
      const n = network(name);
      for (const p of n.p2sh) {
        const text = addressFor({ ...n, p2sh: [p] }, out);
        expect(payTo(n, text ?? "")).toEqual(out);
      }
    }
    expect(addressFor(network("litecoin"), out)).toMatch(/^M/);
  });

  test("X-22: what is paid to taproot without a point of the curve is lost", () => {
    const p = "fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f";
    const cases: [string, boolean][] = [
      ["79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798", true],
      ["50929b74c1a04954b78b4b6035e97a5e078a5a0f28ec96d547bfee9ace803ac0", true],
      ["00".repeat(32), false], ["00".repeat(31) + "05", false], [p, false], [p.slice(0, 62) + "30", false],
      ["4a298dacae57395a15d0795ddbfd1dcb564da82b0f269bc70a74f8220429ba1d", false],
    ];
    for (const [x, good] of cases) {
      const out = fromHex("5120" + x);
      const text = addressFor(network("bitcoin"), out) ?? "";
      if (good) expect(payTo(network("bitcoin"), text)).toEqual(out);
      else expect(refusal("bitcoin", text).reason).toBe("lost");
      if (!good) expect(() => checkPayable(network("litecoin"), out, 3_000_000)).toThrow(BadPayee);
    }
    expect(() => checkPayable(network("litecoin"), fromHex("5120" + cases[0]?.[0]), 2_000_000)).toThrow("2257920");
  });

  test("every form of output is written and read back on every network", () => {
    const hash = "751e76e8199196d454941c45d1b3a323f1433bd6";
    const scripts = [`76a914${hash}88ac`, `a914${hash}87`, `0014${hash}`, `0020${"07".repeat(32)}`, "512079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"];
    for (const n of networks) {
      for (const s of scripts) {
        const text = addressFor(n, fromHex(s));
        if (s.startsWith("51") && n.chain === "namecoin") expect(text).toBeUndefined();
        else expect(hex(payTo(n, text ?? ""))).toBe(s);
      }
    }
    expect(addressFor(network("bitcoin"), fromHex("6a0401020304"))).toBeUndefined();
  });

  test("one character changed is never an address", () => {
    const good = "bcrt1qqmz3teggchackfxltngnfvch94m2unjt5pl3gs7tu7t9pqgq74kqyd2dfw";
    const n = network("bitcoin-regtest");
    payTo(n, good);
    for (let i = 5; i < good.length; i++) {
      for (const c of "qpzry9x8gf2tvdw0s3jn54khce6mua7l") {
        if (c !== good[i]) expect(() => payTo(n, good.slice(0, i) + c + good.slice(i + 1))).toThrow(BadPayee);
      }
    }
  });
});

test("X-12: how deep a payment must be goes by the sum", () => {
  const b = network("bitcoin");
  expect([1n, 100_000_000n, 100_000_001n, 1_000_000_000n, 10_000_000_000n, 10_000_000_001n].map((x) => depthOf(b, x))).toEqual([3, 3, 6, 6, 12, 36]);
  expect(depthOf(network("litecoin"), 1n)).toBe(24);
});
