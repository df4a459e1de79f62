import { ed25519 } from "@noble/curves/ed25519.js";
import { describe, expect, test } from "vitest";
import { fromHex, hex } from "./bytes.ts";
import { BadWords, Key, Wiped, checkWords, derive, keyOf, newWords, suggestWords } from "./keys.ts";
import { vectors } from "./testing.ts";
import { entropyOf, seedOf, wordsOf } from "./words.ts";

describe("words", () => {
  test("are those of BIP-39", async () => {
    const file = vectors<{ passphrase: string; vectors: { entropy: string; words: string; seed: string }[] }>("identity/testdata/bip39.json");
    for (const v of file.vectors) {
      const count = v.words.split(" ").length;
      if (count !== 12 && count !== 24) continue; // 18 words are not taken (V-17)
      expect(wordsOf(fromHex(v.entropy))).toBe(v.words);
      expect(hex(entropyOf(v.words))).toBe(v.entropy);
      expect(hex(await seedOf(v.words, file.passphrase))).toBe(v.seed);
    }
  });

  test("that are wrong are refused, and the wrong one is named", async () => {
    const right = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";
    expect(await checkWords(`  ${right.toUpperCase().replaceAll(" ", "\n ")} `)).toBe(right);
    for (const [text, why] of [
      ["", /Write your words/], [right.replace("about", "abuot"), /Word 12, “abuot”/], [right.replace(" about", ""), /11 words/],
      [right.replace("about", "abandon"), /do not belong together/], ["legal " + right, /13 words/],
    ] as const) {
      await expect(checkWords(text)).rejects.toThrow(why);
      await expect(checkWords(text)).rejects.toBeInstanceOf(BadWords);
    }
    await expect(keyOf(right, {}, "naïve")).rejects.toBeInstanceOf(BadWords);
  });

  test("are new every time, and complete while somebody types", async () => {
    const [a, b] = [await newWords(), await newWords()];
    expect(a).not.toBe(b);
    expect(a.split(" ")).toHaveLength(12);
    expect((await newWords(24)).split(" ")).toHaveLength(24);
    expect(await checkWords(a)).toBe(a);
    expect(await suggestWords("zo")).toEqual(["zone", "zoo"]);
    expect(await suggestWords("")).toEqual([]);
  });
});

describe("keys", () => {
  test("are derived as SLIP-10 says", () => {
    type Chain = { path: number[]; public: string };
    const file = vectors<{ vectors: { seed: string; chains: Chain[] }[] }>("identity/testdata/slip10.json");
    for (const v of file.vectors) {
      for (const c of v.chains) expect(hex(derive(fromHex(v.seed), c.path).publicKey)).toBe(c.public);
    }
  });

  test("and addresses of words are those of the command line (V-17)", async () => {
    type Vector = { words: string; passphrase: string; account: number; key: number; public: string; address: string };
    const file = vectors<{ vectors: Vector[] }>("identity/testdata/account.json");
    for (const v of file.vectors) {
      const key = await keyOf(v.words, { account: v.account, key: v.key }, v.passphrase);
      expect(hex(key.publicKey)).toBe(v.public);
      expect(key.name).toBe(v.address);
    }
  });

  test("show nothing of themselves, and are gone when they are wiped", () => {
    const key = new Key(new Uint8Array(32).fill(7));
    expect(JSON.stringify({ key })).toBe('{"key":"[redacted]"}');
    expect(ed25519.verify(key.sign(Uint8Array.of(1)), Uint8Array.of(1), key.publicKey)).toBe(true);
    key.wipe();
    expect(key.wiped).toBe(true);
    expect(() => key.sign(Uint8Array.of(1))).toThrow(Wiped);
  });
});

test("signatures are checked by the rules of ZIP-215 (V-12)", () => {
  type Vector = { comment: string; message: string; key: string; signature: string; valid: boolean };
  const file = vectors<{ vectors: Vector[] }>("identity/testdata/speccheck.json");
  for (const v of file.vectors) {
    let valid = false;
    try {
      valid = ed25519.verify(fromHex(v.signature), fromHex(v.message), fromHex(v.key), { zip215: true });
    } catch {
      valid = false;
    }
    expect(valid, v.comment).toBe(v.valid);
  }
});
