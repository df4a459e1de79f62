import { ed25519 } from "@noble/curves/ed25519.js";
import { expect, test } from "vitest";
import { BadAddress, addressOf, decodeAddress, encodeAddress, shortAddress } from "./address.ts";
import { bech32, encode, toGroups } from "./bech32.ts";
import { fromHex, hex } from "./bytes.ts";
import { Random, thrown, vectors } from "./testing.ts";

test("addresses are those of the ledger (V-13, V-14)", () => {
  const file = vectors<{ vectors: { seed: string; key: string; address: string }[] }>("identity/testdata/address.json");
  for (const v of file.vectors) {
    expect(hex(ed25519.getPublicKey(fromHex(v.seed)))).toBe(v.key);
    const address = addressOf(fromHex(v.key));
    expect(encodeAddress(address)).toBe(v.address);
    expect(decodeAddress(v.address)).toEqual(address);
    expect(decodeAddress(` ${v.address.toUpperCase()}\n`)).toEqual(address);
  }
});

const good = "souk17mz4rvm4d8rv8tqvqs242pxl0tt6plqu0lxgyj";

test("what is no address is refused, and it is said which part is wrong", () => {
  const old = encode("souk", toGroups(decodeAddress(good)), bech32);
  for (const [text, why] of [
    ["", /Write an address/], ["souk17mz4 rvm4d8rv8tqvqs242pxl0tt6plqu0lxgyj", /no spaces/], ["bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", /begins with souk1/],
    [good.slice(0, -1), /1 character too short/], [good + "q", /1 character too long/], [good.replace("m", "M"), /mixed/],
    [good.replace("7", "b"), /Character 6, “b”/], [good.replace("mz4", "mq4"), /probably in character 8/], [old, /older kind/],
    [good.replace("rvm4d8", "qqqqqq"), /checksum is wrong/],
  ] as const) {
    const error = thrown(() => decodeAddress(text));
    expect(error, text).toBeInstanceOf(BadAddress);
    expect(error.message, text).toMatch(why);
  }
});

test("an address with up to four mistakes is never taken", () => {
  const r = new Random(2);
  const letters = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
  for (let i = 0; i < 100; i++) {
    const text = [...encodeAddress(r.bytes(20))];
    const before = text.join("");
    for (let n = r.below(4); n >= 0; n--) text[5 + r.below(38)] = letters.charAt(r.below(32));
    if (text.join("") !== before) expect(thrown(() => decodeAddress(text.join("")))).toBeInstanceOf(BadAddress);
  }
});

test("a short address shows both ends", () => {
  expect(shortAddress(good)).toBe("souk17mz4r…xgyj");
});
