import { expect, test } from "vitest";
import { BadBytes, fromHex } from "./bytes.ts";
import { absent, inList, parseMapProof, present } from "./merkle.ts";
import { Random, vectors } from "./testing.ts";

type File = {
  maps: { entries: [string, string][]; root: string; proofs: [string, string][] }[];
  lists: { values: string[]; root: string; proofs: string[] }[];
};
const file = vectors<File>("merkle/testdata/vectors.json");

test("proofs of the map are those of the ledger (V-24, V-25)", () => {
  for (const m of file.maps) {
    const root = fromHex(m.root);
    const entries = new Map(m.entries);
    for (const [key, bytes] of m.proofs) {
      const proof = parseMapProof(fromHex(bytes));
      const value = entries.get(key);
      expect(absent(proof, root, fromHex(key))).toBe(value === undefined);
      if (value === undefined) continue;
      expect(present(proof, root, fromHex(key), fromHex(value))).toBe(true);
      expect(present(proof, root, fromHex(key), fromHex(value + "00"))).toBe(false);
    }
  }
});

test("proofs of the list are those of the ledger (V-26, V-27)", () => {
  for (const l of file.lists) {
    l.proofs.forEach((bytes, i) => {
      expect(inList(fromHex(bytes), fromHex(l.root), fromHex(l.values[i] ?? ""))).toBe(true);
      expect(inList(fromHex(bytes), fromHex(l.root), fromHex((l.values[i] ?? "") + "00"))).toBe(false);
    });
  }
});

test("a proof that was changed shows nothing, and throws nothing but BadBytes", () => {
  const r = new Random(10);
  const maps = file.maps.flatMap((m) => m.proofs.map(([key, proof]) => ({ root: m.root, key, proof, entries: new Map(m.entries) })));
  for (let i = 0; i < 500; i++) {
    const { root, key, proof, entries } = r.one(maps);
    const bytes = fromHex(proof);
    if (bytes.length === 0) continue;
    const cut = r.flag();
    const forged = cut ? bytes.slice(0, r.below(bytes.length)) : bytes;
    if (!cut) forged[r.below(forged.length)]! ^= 1 << r.below(8);
    try {
      const p = parseMapProof(forged);
      expect(present(p, fromHex(root), fromHex(key), fromHex(entries.get(key) ?? ""))).toBe(false);
      expect(absent(p, fromHex(root), fromHex(key))).toBe(false);
    } catch (error) {
      expect(error).toBeInstanceOf(BadBytes);
    }
  }
  for (const l of file.lists) {
    for (const proof of l.proofs) {
      const bytes = fromHex(proof);
      bytes[r.below(bytes.length)]! ^= 1 << r.below(8);
      try {
        expect(l.values.some((v) => inList(bytes, fromHex(l.root), fromHex(v)))).toBe(false);
      } catch (error) {
        expect(error).toBeInstanceOf(BadBytes);
      }
    }
  }
});
