import { expect, test } from "vitest";
import { checkVault, BadVault, open, seal, WrongPassphrase } from "./vault.ts";

const words = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";

test("words that are locked away come back with the passphrase, and with nothing else", async () => {
  const vault = await seal(words, "correct horse");
  expect(vault.address).toBe("souk1nnh57lt5gel3ymqgtp9hj7q33dxdp2znwafjj0");
  expect(JSON.stringify(vault)).not.toMatch(/abandon/);
  const kept: unknown = JSON.parse(JSON.stringify(vault));
  expect(await open(checkVault(kept), "correct horse")).toBe(words);
  await expect(open(vault, "correct house")).rejects.toBeInstanceOf(WrongPassphrase);
  // The box belongs to its address: under another one it does not open.
  await expect(open({ ...vault, address: "souk1other" }, "correct horse")).rejects.toBeInstanceOf(WrongPassphrase);
}, 60_000);

test("the box of 12 words looks like that of 24, and a letter composed in two ways is one", async () => {
  const long = "abandon ".repeat(23) + "art";
  const [a, b] = [await seal(words, "schlüssel"), await seal(long, "schlu\u0308ssel")];
  expect(a.locks[0]?.box.length).toBe(b.locks[0]?.box.length);
  expect(await open(b, "schlüssel")).toBe(long);
}, 60_000);

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
