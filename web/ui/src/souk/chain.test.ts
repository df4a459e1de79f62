import { expect, test } from "vitest";
import { BadAddress } from "./address.ts";
import { bech32m, encode, valueOf } from "./bech32.ts";
import { fromHex, hex } from "./bytes.ts";
import { chainAddress, networkLabel, networkNames, parseChainAddress } from "./chain.ts";
import { Random, thrown, vectors } from "./testing.ts";

test("addresses of BIP-350 are read and written", () => {
  type File = { valid?: { address: string; script: string }[]; invalid?: { address: string }[] };
  const file = vectors<File>("script/testdata/bip350.json");
  let read = 0;
  for (const v of file.valid ?? []) {
    const network = /^bc1/i.test(v.address) ? "bitcoin" : "bitcoin-testnet4";
    let script: Uint8Array;
    try {
      script = parseChainAddress(network, v.address);
    } catch (error) {
      expect(error).toBeInstanceOf(BadAddress); // witness versions that no bank pays to
      continue;
    }
    expect(hex(script)).toBe(v.script);
    expect(chainAddress(network, script)).toBe(v.address.toLowerCase());
    read++;
  }
  expect(read).toBeGreaterThan(1);
  for (const v of file.invalid ?? []) expect(() => parseChainAddress("bitcoin", v.address)).toThrow(BadAddress);
});

test("every template of every network comes back as it was", () => {
  const r = new Random(7);
  for (const name of networkNames) {
    expect(networkLabel(name)).toBeTruthy();
    for (const [before, size, after] of [["76a914", 20, "88ac"], ["a914", 20, "87"], ["0014", 20, ""], ["0020", 32, ""]] as const) {
      const script = fromHex(before + hex(r.bytes(size)) + after);
      const text = chainAddress(name, script);
      expect(hex(parseChainAddress(name, text))).toBe(hex(script));
      for (const other of networkNames) {
        let same: string | undefined;
        try {
          same = hex(parseChainAddress(other, text));
        } catch (error) {
          expect(error).toBeInstanceOf(BadAddress);
        }
        if (same !== undefined) expect(same).toBe(hex(script)); // networks that write addresses alike
      }
    }
  }
});

test("what cannot be paid to is refused with the reason", () => {
  for (const [network, text, why] of [
    ["bitcoin", "", /Write an address/],
    ["bitcoin", "ltc1qw508d6qejxtdg4y5r3zarvary0c5xw7kgmn4n9", /Litecoin, not of Bitcoin/],
    ["litecoin", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", /Bitcoin, not of Litecoin/],
    ["litecoin", "ltcmweb1qq", /MWEB/],
    ["bitcoin", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5", /wrong or missing/],
    ["bitcoin", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb", /wrong or missing/],
    ["bitcoin", "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn", /testnet4, not of Bitcoin/],
    ["bitcoin", "hello", /no address of Bitcoin/],
    ["bitcoin", "1A1z P1eP", /no spaces/],
    ["namecoin", chainAddressOfTaproot("nc"), /no taproot/],
    ["monero", "x", /does not know the network/],
    ["constructor", "x", /does not know the network/],
  ] as const) {
    const error = thrown(() => parseChainAddress(network, text));
    expect(error, text).toBeInstanceOf(BadAddress);
    expect(error.message, text).toMatch(why);
  }
  expect(hex(parseChainAddress("bitcoin", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"))).toBe("76a91462e907b15cbf27d5425399ebf6f0fb50ebb88f1888ac");
  expect(() => chainAddress("bitcoin", fromHex("6a04deadbeef"))).toThrow(BadAddress);
  // No point of the curve has this x.
  const lost = chainAddress("bitcoin", fromHex("5120" + "00".repeat(31) + "05"));
  expect(thrown(() => parseChainAddress("bitcoin", lost)).message).toMatch(/Nobody has a key/);
});

/** A taproot address under the prefix of a network that has no taproot. */
function chainAddressOfTaproot(hrp: string): string {
  const text = chainAddress("bitcoin", fromHex("512079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"));
  const groups = [...text.slice(3, -6)].map(valueOf);
  return encode(hrp, groups, bech32m);
}
