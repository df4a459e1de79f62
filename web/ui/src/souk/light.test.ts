import { describe, expect, test } from "vitest";
import { BadBytes, concat, fromHex, hex } from "./bytes.ts";
import { Expired, NotProven, chainId, checkSigned, decodeLightBlock, firstSet, hop, hopDown, setHash } from "./light.ts";
import { Random, vectors } from "./testing.ts";

type File = {
  id: string;
  blocks: { name: string; raw: string; height: number; time: number; root: string; hash: string }[];
  hops: { from: number; to: number; now: number; says: "good" | "expired" | "refused" }[];
};
const file = vectors<File>("web/ui/src/testdata/light.json");
const chain = chainId(fromHex(file.id));
const blocks = file.blocks.map((b) => decodeLightBlock(chain, fromHex(b.raw)));
const nanos = (ms: number) => BigInt(ms) * 1_000_000n + 456_789n;

function verdict(from: number, to: number, now: bigint): string {
  try {
    hop(blocks[from]!, blocks[to]!, now);
    return "good";
  } catch (error) {
    if (error instanceof Expired) return "expired";
    if (error instanceof NotProven) return "refused";
    throw error;
  }
}

describe("light blocks", () => {
  test("say what the servers' light client reads in them (C-60)", () => {
    file.blocks.forEach((b, i) => {
      const block = blocks[i]!;
      expect(block.header.height).toBe(b.height);
      expect(block.header.time / 1_000_000n).toBe(BigInt(b.time));
      expect(hex(block.header.root), b.name).toBe(b.root);
      expect(hex(block.hash), b.name).toBe(b.hash);
    });
  });

  test("are judged as the servers' light client judges them (C-61)", () => {
    for (const h of file.hops) {
      const name = `${file.blocks[h.to]!.name} by ${file.blocks[h.from]!.name} at ${h.now}`;
      expect(verdict(h.from, h.to, nanos(h.now)), name).toBe(h.says);
    }
  });

  test("of another chain are refused", () => {
    const other = chainId(new Uint8Array(32));
    expect(() => decodeLightBlock(other, fromHex(file.blocks[0]!.raw))).toThrow(BadBytes);
  });

  test("go down by the chain of hashes", () => {
    expect(() => hopDown(blocks[6]!, blocks[5]!)).not.toThrow();
    expect(() => hopDown(blocks[6]!, blocks[4]!)).toThrow(NotProven);
    expect(() => hopDown(blocks[5]!, blocks[6]!)).toThrow(NotProven);
  });

  test("begin with the founders", () => {
    const keys = blocks[0]!.validators.map((v) => v.key).reverse();
    expect(setHash(firstSet(keys, 1_000_000n))).toEqual(blocks[0]!.header.validators);
    expect(() => checkSigned(blocks[0]!)).not.toThrow();
  });
});

describe("a light block that was changed", () => {
  const raw = fromHex(file.blocks[6]!.raw);

  test("in any byte is refused, or says the same", () => {
    const r = new Random(11);
    let same = 0;
    for (let i = 0; i < 300; i++) {
      const forged = raw.slice();
      forged[r.below(forged.length)]! ^= 1 << r.below(8);
      try {
        const b = decodeLightBlock(chain, forged);
        hop(blocks[5]!, b, nanos(file.blocks[11]!.time));
        // Who proposes next is in no header, and a third of the signatures is more than it takes.
        expect(hex(b.hash)).toBe(file.blocks[6]!.hash);
        same++;
      } catch (error) {
        expect(error instanceof BadBytes || error instanceof NotProven, String(error)).toBe(true);
      }
    }
    expect(same).toBeLessThan(150);
  });

  test("that is cut short or goes on is refused", () => {
    const r = new Random(12);
    for (let i = 0; i < 100; i++) expect(() => decodeLightBlock(chain, raw.slice(0, r.below(raw.length)))).toThrow(BadBytes);
    expect(() => decodeLightBlock(chain, concat(raw, Uint8Array.of(0)))).toThrow(BadBytes);
    expect(() => decodeLightBlock(chain, new Uint8Array(2 << 20))).toThrow(BadBytes);
    for (let i = 0; i < 200; i++) expect(() => decodeLightBlock(chain, r.bytes(r.below(200)))).toThrow(BadBytes);
  });
});
