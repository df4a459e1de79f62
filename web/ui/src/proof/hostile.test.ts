import { describe, expect, test } from "vitest";
import { fromHex, toBase64 } from "../souk/bytes.ts";
import { vectors } from "../souk/testing.ts";
import { Banks } from "./banks.ts";
import { type Fake, type JsonProof, type Lie, honest, leafName, momentOf, problem, prover, spoil, world } from "./testing.ts";

const eur = leafName(2, "00000002");
const { bank, series, index } = world.deposit;
const salt = fromHex("05" + "00".repeat(15));

/** All servers tell the same lie. */
function lying(lie: Lie, moment = "newer"): Fake[] {
  const servers = honest(moment);
  for (const s of servers) s.lie = lie;
  return servers;
}

/** Changes the one proof in an answer. */
const inProof = (change: (p: JsonProof) => JsonProof): Lie => (_, answer) => {
  const a = answer as { proof?: JsonProof; leaves?: JsonProof[]; addresses?: { proof: JsonProof }[] };
  if (a.proof) a.proof = change(a.proof);
  a.leaves = a.leaves?.map(change) as JsonProof[];
  a.addresses?.forEach((x) => (x.proof = change(x.proof)));
  return a;
};

/** The text of a symbol and its decimals in an asset's leaf. */
function otherDecimals(p: JsonProof): JsonProof {
  const leaf = fromHex(world.forged_leaf);
  return { ...p, leaf: toBase64(leaf) };
}

describe("a server that swaps", () => {
  test("decimals is refused", async () => {
    const e = await problem(prover(lying(inProof(otherDecimals))).asset(2));
    expect(e.kind).toBe("refused");
    expect(e.message).toBe("server-1 shows a proof of asset 2 that does not hold");
    expect(e.server).toBe("server-1");
  });

  test("the symbol, an amount or a price is refused, in whatever byte it is", async () => {
    for (let at = 0; at < 100; at += 23) {
      const core = prover(lying(inProof((p) => ({ ...p, ...(p.leaf && { leaf: spoil(p.leaf, at) }) }))));
      for (const work of [core.asset(1), core.market(1), core.account(world.address)]) expect((await problem(work)).kind).toBe("refused");
    }
  }, 60_000);

  test("the path is refused", async () => {
    for (const change of [
      (p: JsonProof) => ({ ...p, path: spoil(p.path ?? "", 70) }), (p: JsonProof) => ({ ...p, path: "" }), (p: JsonProof) => ({ ...p, path: "%" }),
      (p: JsonProof) => ({ ...p, path: toBase64(new Uint8Array(65)) }),
    ]) {
      expect((await problem(prover(lying(inProof(change))).asset(1))).kind).toBe("refused");
    }
  });

  test("one asset for another is refused", async () => {
    const other = momentOf("newer").leaves[eur];
    const core = prover(lying(inProof(() => other as JsonProof)));
    expect((await problem(core.asset(1))).kind).toBe("refused");
    expect((await core.asset(2)).symbol).toBe("EUR");
  });

  test("one account for another is refused", async () => {
    const m = momentOf("newer");
    const bob = Object.keys(m.leaves).filter((k) => k.startsWith("03")).map((k) => m.leaves[k] as JsonProof);
    for (const other of bob) {
      const core = prover(lying((target, answer) => (target.includes("/accounts/") ? { proof: other } : answer)));
      try {
        expect((await core.account(world.address)).number).toBe(m.said.account.number);
      } catch (error) {
        expect(error).toMatchObject({ kind: "refused" });
      }
    }
  });

  test("somebody else's order for one's own is refused", async () => {
    const e = await problem(prover(honest("newer")).order(BigInt(world.others_order), world.address));
    expect([e.kind, e.message]).toEqual(["refused", "server-1 shows order 3 of somebody else"]);
  });

  test("a receipt or a trade for another is refused", async () => {
    const [receipt, trade] = world.results;
    const core = prover(lying((target, answer) => (target.includes("/trades/") ? { proof: receipt?.proof } : target.includes("/commands/") ? { proof: trade?.proof } : answer)));
    expect((await problem(core.receipt(world.receipt))).kind).toBe("refused");
    expect((await problem(core.trade(BigInt(world.trade)))).kind).toBe("refused");
    const same = prover(lying((target, answer) => (target.includes("/commands/") ? { proof: receipt?.proof } : answer)));
    expect((await problem(same.receipt("00".repeat(32)))).message).toBe("server-1 shows another receipt than the one that was asked for");
    expect((await problem(prover(honest("newer")).trade(BigInt(world.trade), 2))).kind).toBe("refused");
    const { height } = await prover(honest("newer")).trade(BigInt(world.trade), 1);
    expect((await problem(prover(honest("newer")).auction(1, Number(height) + 1))).message).toBe(`server-1 shows another auction of block ${Number(height) + 1} than the one that was asked for`);
    expect((await problem(prover(honest("newer")).auction(2, Number(height)))).kind).toBe("refused");
    const item = lying(inProof((p) => ({ ...p, ...(p.item && { item: spoil(p.item, 50) }) })));
    expect((await problem(prover(item).trade(BigInt(world.trade)))).kind).toBe("refused");
  });

  test("is left for the next one, and noted", async () => {
    const servers = honest("newer");
    servers[0]!.lie = inProof(otherDecimals);
    const core = prover(servers);
    expect((await core.asset(2)).decimals).toBe(8);
    expect(core.lies()).toEqual([{ server: "server-1", what: "shows a proof of asset 2 that does not hold" }]);
  });
});

describe("what is not there", () => {
  test("is proven not to be there, and nobody can deny what is", async () => {
    const core = prover(honest("newer"));
    expect(await problem(core.asset(5))).toMatchObject({ kind: "absent", message: "It is proven that there is no asset 5." });
    expect((await problem(core.market(3))).kind).toBe("absent");
    // The absence of another leaf is no proof of this one's.
    const gone = momentOf("newer").leaves[leafName(2, "00000005")];
    const denied = prover(lying(inProof(() => gone as JsonProof)));
    expect((await problem(denied.asset(1))).kind).toBe("refused");
    const bare = prover(lying(inProof(({ leaf: _, ...p }) => p)));
    expect((await problem(bare.asset(1))).kind).toBe("refused");
  });

  test("cannot be made up", async () => {
    const there = momentOf("newer").leaves[leafName(2, "00000004")];
    expect((await problem(prover(lying(inProof(() => there as JsonProof))).asset(5))).kind).toBe("refused");
  });
});

/** A light block of another virtual server. */
const strangers = vectors<{ blocks: { raw: string }[] }>("web/ui/src/testdata/light.json").blocks[0]!.raw;

describe("headers", () => {
  const newest = momentOf("stolen").height;
  const forged = (raw: string | undefined) => (at: number, honest: string | undefined) => (at === newest ? raw : honest);
  /** Proofs under the forged root: of a state that has one leaf, EUR with other decimals. */
  const underForged: Lie = () => ({ height: newest, leaves: [{ leaf: toBase64(fromHex(world.forged_leaf)), path: world.forged_path }] });

  test("with less than two thirds of the power are refused", async () => {
    const servers = honest("stolen");
    servers[0]!.light_ = forged(world.forged[0]);
    servers[0]!.lie = underForged;
    const core = prover(servers);
    expect((await core.asset(2)).decimals).toBe(8);
    expect(core.lies().map((l) => l.server)).toContain("server-1");
    const all = honest("stolen");
    for (const s of all) [s.light_, s.lie] = [forged(world.forged[0]), underForged];
    const e = await problem(prover(all).asset(2));
    expect(e.kind).toBe("refused");
    expect(e.message).toMatch(/not signed as it must be/);
  });

  test("that are signed twice stop everything", async () => {
    const servers = honest("stolen");
    servers[0]!.light_ = forged(world.forged[1]);
    servers[0]!.lie = underForged;
    const e = await problem(prover(servers).asset(2));
    expect(e.kind).toBe("fork");
    expect(e.message).toMatch(/two different blocks of height/);
  });

  test("that no second server confirms are not believed", async () => {
    const servers = honest("stolen");
    for (const s of servers.slice(1)) s.light_ = (at, raw) => (at < newest ? raw : undefined);
    expect(await problem(prover(servers).asset(2))).toMatchObject({ kind: "unconfirmed" });
    for (const s of servers.slice(1)) s.light_ = () => undefined;
    expect(await problem(prover(servers).asset(2))).toMatchObject({ kind: "unconfirmed" });
  });

  test("that cannot be read are refused, and so are others' first blocks", async () => {
    const servers = honest("stolen");
    for (const s of servers) s.light_ = (_, raw) => raw?.slice(0, 100);
    const core = prover(servers);
    expect((await problem(core.asset(2))).kind).toBe("unreachable");
    expect(core.lies()).toHaveLength(4);
    const second = honest("stolen");
    for (const s of second) s.light_ = (at, raw) => (at === 1 ? world.headers[1] : raw);
    expect((await problem(prover(second).asset(2))).kind).toBe("unreachable");
    const stranger = honest("stolen");
    for (const s of stranger) s.light_ = () => strangers;
    const e = await problem(prover(stranger).asset(2));
    expect(e.kind).toBe("unreachable");
  });

  test("older than 14 days vouch for nothing, until the user names a checkpoint", async () => {
    const servers = honest("stolen");
    const core = prover(servers, { now: () => world.now + 15 * 24 * 3600 * 1000 });
    expect(await problem(core.asset(2))).toMatchObject({ kind: "expired" });
    const { hash } = await prover(servers).newest();
    const late = prover(servers);
    await late.client.trust(newest, fromHex(hash, 32));
    expect((await late.asset(2)).decimals).toBe(8);
    expect(await problem(late.client.trust(newest, new Uint8Array(32)))).toMatchObject({ kind: "unconfirmed" });
  });
});

describe("old proofs", () => {
  test("are refused when something newer is known", async () => {
    const servers = honest("newer");
    for (const s of servers) s.moment = momentOf("early");
    const e = await problem(prover(servers).asset(4));
    expect(e).toMatchObject({ kind: "old", message: "server-1 shows asset 4 as it was before" });
    servers[2]!.moment = momentOf("newer");
    expect((await prover(servers).asset(4)).supply).toBe(BigInt(momentOf("newer").said.supply));
  });

  test("of receipts and trades are as good as new ones", async () => {
    expect((await prover(honest("stolen")).receipt(world.receipt)).code).toBe(0);
  });

  test("are refused after what was seen another day", async () => {
    const saved = fromHex(world.headers[momentOf("stolen").height - 1]!);
    const e = await problem(prover(honest("early"), { saved }).asset(4));
    expect(e.kind).toBe("old");
  });
});

describe("a bank", () => {
  const at = (over: (target: string) => boolean, change: Lie): Lie => (target, answer) => (over(target) ? change(target, answer) : answer);

  test("address that a server swaps is refused with a clear text", async () => {
    const lie = at((x) => x.includes("/addresses"), (_, a) => {
      const list = a as { addresses: { address: string }[] };
      list.addresses[0]!.address = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
      return list;
    });
    const e = await problem(new Banks(prover(lying(lie))).depositAddress(bank, series, index, world.address));
    expect(e.kind).toBe("refused");
    expect(e.message).toBe("server-1 shows an address that is not derived from the bank's keys (“bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080”): do not pay to it");
    const servers = honest("newer");
    servers[0]!.lie = lie;
    const found = await new Banks(prover(servers)).depositAddress(bank, series, index, world.address);
    expect([found.text, found.lies.map((l) => l.server)]).toEqual([world.deposit.text, ["server-1"]]);
  });

  test("address of nobody, or of another account, is refused", async () => {
    const banks = new Banks(prover(lying(asDerived)));
    expect((await problem(banks.depositAddress(bank, series, world.deposit.others, world.address))).message).toMatch(/another account/);
    expect((await problem(banks.depositAddress(bank, series, 3, world.address))).message).toMatch(/belongs to nobody/);
  });

  test("address of an old series, an older one, or a used one is not a new one", async () => {
    const banks = new Banks(prover(honest("newer")));
    const mine = fromHex(world.deposit.salt);
    expect((await problem(banks.freshAddress(bank, series, index, world.address, salt))).message).toMatch(/older one/);
    expect((await problem(banks.freshAddress(bank, series, index, world.address, mine))).message).toMatch(/something was/);
    expect((await problem(banks.freshAddress(bank, 1, 0, world.address, mine))).message).toMatch(/older one/);
  });

  test("series under another number is refused", async () => {
    const other = momentOf("newer").leaves[leafName(13, "0000000100000001")];
    const core = prover(lying((target, a) => (target.includes(leafName(13, "0000000100000000")) ? { height: momentOf("newer").height, leaves: [other] } : a)));
    expect((await problem(new Banks(core).depositAddress(bank, series, index, world.address))).kind).toBe("refused");
  });

  test("that hides its losses looks poorer, never richer", async () => {
    const truth = await new Banks(prover(honest("stolen"))).terms(4);
    expect(truth.deficit).toBeGreaterThan(0n);
    for (let i = 0; i < momentOf("stolen").coins.length; i++) {
      const lie = at((x) => x.includes("/coins"), (_, a) => ({ coins: (a as { coins: unknown[] }).coins.filter((_, j) => j !== i) }));
      const terms = await new Banks(prover(lying(lie, "stolen"))).terms(4);
      expect(terms.coins <= truth.coins).toBe(true);
    }
    const twice = at((x) => x.includes("/coins"), (_, a) => ({ coins: [...(a as { coins: unknown[] }).coins, ...(a as { coins: unknown[] }).coins] }));
    expect((await new Banks(prover(lying(twice, "stolen"))).terms(4)).coins).toBe(truth.coins);
  });

  test("whose leaf changes between two answers is read anew, and then given up", async () => {
    const servers = honest("newer");
    let turn = 0;
    const moments = [momentOf("newer"), momentOf("stolen")];
    for (const s of servers) {
      s.height = momentOf("stolen").height;
      s.lie = (target, a) => {
        if (target.includes(leafName(12, "00000001"))) s.moment = moments[turn++ % 2]!;
        return a;
      };
    }
    const e = await problem(new Banks(prover(servers)).terms(4));
    expect(["old", "unreachable"]).toContain(e.kind);
  });
});

/** A server that shows whatever text is derived, so that only the leaf can refuse it. */
const asDerived: Lie = (target, answer) => {
  const place = /at=(\d+)-(\d+)/.exec(target);
  if (!place) return answer;
  const list = answer as { addresses: { address: string }[] };
  list.addresses[0]!.address = world.texts[Number(place[2])] ?? "";
  return list;
};
