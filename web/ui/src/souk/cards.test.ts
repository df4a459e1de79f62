import { expect, test } from "vitest";
import { fromHex, hex } from "./bytes.ts";
import { checkCards, possessed } from "./cards.ts";
import { BadFounding, foundingId, readFounding } from "./founding.ts";
import { vectors } from "./testing.ts";

const foundings = vectors<{ name: string; founding?: string; id?: string }[]>("docs/spec/vectors/foundings.json").filter((v) => v.founding !== undefined);

test("founding contracts are those of the specification, with their cards (Y-85, Y-87)", () => {
  expect(foundings.length).toBeGreaterThan(1);
  for (const v of foundings) {
    const bytes = fromHex(v.founding ?? "");
    expect(hex(foundingId(bytes)), v.name).toBe(v.id);
    const f = readFounding(fromHex(v.id ?? ""), bytes);
    expect(() => checkCards(f), v.name).not.toThrow();
    for (const m of f.members) {
      for (const change of [
        { signature: m.signature.map((b, i) => (i === 5 ? b ^ 1 : b)) }, { card: m.card.map((b, i) => (i === 9 ? b ^ 1 : b)) },
        ...(m.banks.length > 0 ? [{ server: m.consensus }, { banks: m.banks.map((k) => ({ ...k, network: "litecoin" })) }] : []),
      ]) {
        const forged = { ...f, members: f.members.map((x) => (x === m ? { ...m, ...change } : x)) };
        expect(() => checkCards(forged), v.name).toThrow(BadFounding);
      }
    }
    for (const b of f.banks.filter((x) => x.recovery.length > 0)) {
      const recovery = b.recovery.map((k) => ({ ...k, possession: k.possession.map((x) => x ^ 1) }));
      expect(() => checkCards({ ...f, banks: [{ ...b, recovery }] })).toThrow(BadFounding);
    }
  }
});

test("a contract that is cut short, changed or of another id is refused", () => {
  const bytes = fromHex(foundings[0]?.founding ?? "");
  for (let i = 0; i < bytes.length; i += 37) {
    const cut = bytes.slice(0, i);
    expect(() => readFounding(foundingId(cut), cut)).toThrow(BadFounding);
    const changed = bytes.map((b, j) => (j === i ? b ^ 1 : b));
    expect(() => readFounding(foundingId(bytes), changed)).toThrow(BadFounding);
  }
});

test("possession of a key is proven as by another program (P-20)", () => {
  type Vector = { virtualServer: string; network: string; operator: string; server: string; key: string; chainCode: string; proof: string };
  const file = vectors<Partial<Record<"vectors", Vector[]>>>("script/testdata/possession.json");
  expect(file.vectors ?? []).not.toHaveLength(0);
  for (const v of file.vectors ?? []) {
    const key = { network: v.network, key: fromHex(v.key), chainCode: fromHex(v.chainCode), possession: fromHex(v.proof) };
    const claimant = { server: fromHex(v.virtualServer), operator: fromHex(v.operator), key: fromHex(v.server) };
    expect(possessed(key, claimant)).toBe(true);
    expect(possessed({ ...key, network: "x" }, claimant)).toBe(false);
    expect(possessed(key, { ...claimant, server: new Uint8Array(32).fill(1) })).toBe(false);
  }
});
