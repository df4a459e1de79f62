import { describe, expect, test } from "vitest";
import { fromHex, hex } from "../souk/bytes.ts";
import { chainId, decodeLightBlock } from "../souk/light.ts";
import { vectors } from "../souk/testing.ts";
import { LightClient, type LightSource } from "./client.ts";
import { ProofError } from "./problem.ts";
import { problem } from "./testing.ts";

type File = { id: string; blocks: { name: string; raw: string; height: number; time: number; hash: string }[] };
const file = vectors<File>("web/ui/src/testdata/light.json");
const vsid = fromHex(file.id);
const founders = decodeLightBlock(chainId(vsid), fromHex(file.blocks[0]!.raw)).validators;
const now = file.blocks[11]!.time + 1000;

/** A server with the first blocks of the chain, of which it may have forgotten some, or show others. */
function source(name: string, options: { height?: number; has?: number[]; shows?: Record<number, string> } = {}): LightSource & { asked: number[] } {
  const { height = 12, has, shows = {} } = options;
  const asked: number[] = [];
  return {
    name, asked,
    light(want) {
      asked.push(want);
      const at = want === 0 ? height : want;
      const kept = has ? has.filter((h) => h <= at).at(-1) : at;
      if (kept === undefined || at > height) return Promise.reject(new ProofError("none", "unreachable", name));
      const shown = shows[kept];
      const block = shown === undefined ? file.blocks[kept - 1] : file.blocks.find((b) => b.name === shown);
      return Promise.resolve(fromHex(block?.raw ?? ""));
    },
  };
}

function client(sources: LightSource[], options: { saved?: Uint8Array; now?: number; hops?: number } = {}) {
  const lies: string[] = [];
  const saved: Uint8Array[] = [];
  const c = new LightClient({
    vsid, founders, sources, saved: options.saved, now: () => options.now ?? now, patience: 200, hops: options.hops ?? 256,
    blame: (server, what) => lies.push(`${server} ${what}`), save: (raw) => saved.push(raw),
  });
  return { c, lies, saved };
}

describe("a light client", () => {
  test("follows validators that change, over blocks in between", async () => {
    const [a, b] = [source("alice"), source("bob")];
    const { c, saved } = client([a, b]);
    const newest = await c.at(12);
    expect(hex(newest.hash)).toBe(file.blocks[11]!.hash);
    expect(a.asked).toContain(6); // nobody of the founders has signed block 12
    expect(hex(saved.at(-1)!)).toBe(file.blocks[11]!.raw);
    // What was verified another day leads on without the founders.
    const again = client([source("alice"), source("bob")], { saved: fromHex(file.blocks[8]!.raw) });
    expect((await again.c.at(12)).header.height).toBe(12);
  });

  test("goes over the kept blocks of servers that have forgotten the others", async () => {
    const has = [1, 3, 4, 6, 7, 9, 10, 12];
    expect((await client([source("alice", { has }), source("bob", { has })]).c.at(12)).header.height).toBe(12);
    expect((await problem(client([source("alice", { has: [1, 12] }), source("bob", { has: [1, 12] })]).c.at(12))).kind).toBe("unconfirmed");
  });

  test("goes down by the chain of hashes", async () => {
    const { c } = client([source("alice"), source("bob")], { saved: fromHex(file.blocks[11]!.raw) });
    expect(hex((await c.at(8)).hash)).toBe(file.blocks[7]!.hash);
    const shows = { 10: "block 9" };
    expect((await problem(client([source("alice", { shows }), source("bob", { shows })], { saved: fromHex(file.blocks[11]!.raw) }).c.at(8))).kind).not.toBe("absent");
  });

  test("reaches what is far below from the founders, as long as they can vouch", async () => {
    const saved = fromHex(file.blocks[11]!.raw);
    const near = client([source("alice"), source("bob")], { saved, hops: 6 });
    expect(hex((await near.c.at(3)).hash)).toBe(file.blocks[2]!.hash);
    expect(hex((await near.c.at(9)).hash)).toBe(file.blocks[8]!.hash);
    const late = file.blocks[0]!.time + 14 * 24 * 3600 * 1000 + 1;
    expect((await problem(client([source("alice"), source("bob")], { saved, hops: 6, now: late }).c.at(3))).kind).toBe("unconfirmed");
  });

  test("believes no members who left, no strangers and no half", async () => {
    const saved = fromHex(file.blocks[5]!.raw);
    for (const name of [
      "7 of members who left", "7 of strangers", "7 signed by half", "7 with a wrong signature", "7 voted against", "7 from the future", "7 before its time",
      "7 of another root, signed by half", "7 with exactly two thirds",
    ]) {
      const shows = { 7: name };
      const { c, lies } = client([source("mallory", { shows }), source("alice"), source("bob")], { saved });
      expect(hex((await c.at(7)).hash), name).toBe(file.blocks[6]!.hash);
      expect(lies[0], name).toBe("mallory shows a block that is not signed as it must be");
      const all = client([source("mallory", { shows }), source("malloc", { shows })], { saved });
      expect((await problem(all.c.at(7))).kind, name).toBe("refused");
    }
  });

  test("that was away while members left is told of the fork that they make (C-64)", async () => {
    const shows = { 7: "7 of members who left" };
    const e = await problem(client([source("mallory", { shows }), source("alice")]).c.at(7));
    expect(e.kind).toBe("fork");
  });

  test("reports two blocks that are both signed, and believes neither", async () => {
    const shows = { 7: "7 of another root, signed by all" };
    const e = await problem(client([source("mallory", { shows }), source("alice")]).c.at(7));
    expect(e.kind).toBe("fork");
    expect(e.message).toMatch(/mallory and alice/);
    const { c } = client([source("mallory", { shows }), source("malloc", { shows, height: 7 }), source("alice")], { saved: fromHex(file.blocks[6]!.raw) });
    expect((await c.at(7)).header.height).toBe(7); // the one that was verified
  });

  test("never goes back, and says what is newest before it is confirmed", async () => {
    const late = client([source("alice", { height: 5 }), source("bob", { height: 5 })], { saved: fromHex(file.blocks[11]!.raw) });
    expect((await late.c.newest()).header.height).toBe(12);
    const ahead = client([source("alice", { height: 12 }), source("bob", { height: 5 })]);
    expect((await ahead.c.newest()).header.height).toBe(12);
    expect((await problem(ahead.c.at(12))).kind).toBe("unconfirmed");
    const shows = { 12: "7 of strangers" };
    const saved = fromHex(file.blocks[5]!.raw);
    expect((await client([source("alice", { shows }), source("bob", { height: 5 })], { saved }).c.newest()).header.height).toBe(6);
  });

  test("stops when all that it trusts is too old", async () => {
    const month = 30 * 24 * 3600 * 1000;
    expect((await problem(client([source("alice"), source("bob")], { now: now + month }).c.at(5))).kind).toBe("expired");
    const saved = fromHex(file.blocks[11]!.raw);
    expect((await problem(client([source("alice"), source("bob")], { now: now + month, saved }).c.newest())).kind).toBe("expired");
  });

  test("begins anew at a checkpoint that two servers confirm, and not below what it saw", async () => {
    const { c } = client([source("alice"), source("bob")]);
    await c.trust(9, fromHex(file.blocks[8]!.hash));
    expect((await c.at(10)).header.height).toBe(10);
    const alone = client([source("alice"), source("bob", { height: 5 })]);
    expect((await problem(alone.c.trust(9, fromHex(file.blocks[8]!.hash)))).kind).toBe("unconfirmed");
    const seen = client([source("alice"), source("bob")], { saved: fromHex(file.blocks[11]!.raw) });
    expect((await problem(seen.c.trust(9, fromHex(file.blocks[8]!.hash)))).kind).toBe("old");
  });

  test("lets no member pass for two: servers that are quicker than the founders' decide nothing", async () => {
    const strangers = file.blocks.find((b) => b.name === "7 of strangers")!;
    const forged = fromHex(strangers.hash);
    const slow = (name: string): LightSource => {
      const s = source(name);
      return { ...s, founder: true, light: (h, signal) => new Promise((resolve, reject) => setTimeout(() => s.light(h, signal).then(resolve, reject), 60)) };
    };
    const shows = { 7: "7 of strangers" };
    const evil = [source("evil/1", { shows }), source("evil/2", { shows })];
    expect((await problem(client([...evil, slow("alice"), slow("bob")]).c.trust(7, forged))).message).toMatch(/Fewer than two/);
    // Where the founders are gone, as many have to show it as nothing else.
    const told = await problem(client([...evil, source("carol"), source("dave")]).c.trust(7, forged));
    expect(told).toMatchObject({ kind: "unconfirmed", message: /carol, dave/ });
    // And a liar cannot keep the true one from being taken.
    const { c } = client([...evil, source("evil/3", { shows }), slow("alice"), slow("bob")]);
    await c.trust(7, fromHex(file.blocks[6]!.hash));
  });
});
