import { expect, test } from "vitest";
import { seal as sealAt } from "./locks.ts";
import { BadVault, WrongPassphrase, checkVault, open, seal } from "./vault.ts";

const words = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";
const cheap = { log2n: 10, r: 8, p: 1 };

test("words are locked away at a cost that trying many passphrases would have", async () => {
  const vault = await seal(words, "correct horse");
  expect(vault.locks[0]).toMatchObject({ kind: "passphrase", log2n: 17, r: 8, p: 1 });
  expect(await open(checkVault(JSON.parse(JSON.stringify(vault))), "correct horse")).toBe(words);
}, 120_000);

test("words that are locked away come back with the passphrase, and with nothing else", async () => {
  const vault = await sealAt(words, "correct horse", cheap);
  expect(vault.address).toBe("souk1nnh57lt5gel3ymqgtp9hj7q33dxdp2znwafjj0");
  expect(JSON.stringify(vault)).not.toMatch(/abandon/);
  expect(await open(vault, "correct horse")).toBe(words);
  await expect(open(vault, "correct house")).rejects.toBeInstanceOf(WrongPassphrase);
  // The box belongs to its address: under another one it does not open.
  await expect(open({ ...vault, address: "souk1other" }, "correct horse")).rejects.toBeInstanceOf(WrongPassphrase);
  const again = await sealAt(words, "correct horse", cheap);
  expect(again.locks[0]?.box).not.toBe(vault.locks[0]?.box);
});

test("the box of 12 words looks like that of 24, and a letter composed in two ways is one", async () => {
  const long = "abandon ".repeat(23) + "art";
  const [a, b] = [await sealAt(words, "schlüssel", cheap), await sealAt(long, "schlu\u0308ssel", cheap)];
  expect(a.locks[0]?.box.length).toBe(b.locks[0]?.box.length);
  expect(await open(b, "schlüssel")).toBe(long);
});

test("a passphrase that is too short is refused", async () => {
  await expect(seal(words, "seven77")).rejects.toBeInstanceOf(BadVault);
});

test("what is no vault is refused before any work", () => {
  const lock = { kind: "passphrase", log2n: 17, r: 8, p: 1, salt: "00", nonce: "00", box: "00" };
  expect(checkVault({ version: 1, address: "a", locks: [lock] }).locks).toHaveLength(1);
  for (const bad of [
    null, 1, "x", {}, { version: 2, address: "a", locks: [lock] }, { version: 1, address: "a", locks: [] }, { version: 1, locks: [lock] },
    ...[{ log2n: 30 }, { r: 1000 }, { p: 0 }, { salt: "zz" }, { box: "" }, { kind: "none" }, { log2n: "17" }].map((change) => ({
      version: 1, address: "a", locks: [{ ...lock, ...change }],
    })),
  ]) {
    expect(() => checkVault(bad), JSON.stringify(bad)).toThrow(BadVault);
  }
});
