import { describe, expect, test } from "vitest";
import { fromHex, hex } from "../souk/bytes.ts";
import { readFounding } from "../souk/founding.ts";
import { Banks } from "./banks.ts";
import { alice, honest, momentOf, prover, world } from "./testing.ts";

describe("the founding contract", () => {
  test("is known by its hash, and says what the first assets and markets are (H-90)", () => {
    const f = readFounding(fromHex(world.id), fromHex(world.founding));
    expect(f.assets.map((a) => `${a.number} ${a.symbol} ${a.decimals}`)).toEqual(["1 BTC 8", "2 EUR 8", "3 LTC 8", "4 TBC 8"]);
    expect(f.markets.map((m) => `${m.number} ${m.base.symbol}-${m.quote.symbol}`)).toEqual(["1 BTC-EUR", "2 LTC-BTC"]);
    expect(f.banks.map((b) => `${b.number} ${b.symbol} ${b.network}`)).toEqual([`1 TBC ${world.deposit.network}`]);
    expect(f.members.map((m) => m.name).sort()).toEqual(["server-1", "server-2", "server-3", "server-4"]);
    expect(f.origin).toBe(false);
    const other = fromHex(world.founding);
    other[20]! ^= 1;
    expect(() => readFounding(fromHex(world.id), other)).toThrow(/another exchange/);
  });
});

describe("an honest federation", () => {
  const said = momentOf("newer").said;

  test("proves assets and markets", async () => {
    const core = prover(honest("newer"));
    const asset = await core.asset(4);
    expect([asset.symbol, asset.decimals, asset.supply]).toEqual(["TBC", 8, BigInt(said.supply)]);
    expect(asset.at.height).toBe(momentOf("newer").height);
    const market = await core.market(1);
    expect([market.baseAsset.symbol, market.quoteAsset.symbol, market.last]).toEqual(["BTC", "EUR", BigInt(said.last)]);
    expect(market.terms.makerPPM).toBe(1000);
  });

  test("proves an account with its balances, and an order of it", async () => {
    const core = prover(honest("newer"));
    const account = await core.account(world.address);
    expect(account.number).toBe(said.account.number);
    for (const b of account.balances) {
      expect([b.available, b.held]).toEqual([BigInt(said.account.available[b.asset] ?? 0), BigInt(said.account.held[b.asset] ?? 0)]);
    }
    expect(account.delegates).toHaveLength(1);
    expect(hex(account.owner ?? new Uint8Array())).toBe(hex(alice.publicKey));
    const order = await core.order(BigInt(world.order), world.address);
    expect([order.market, order.side, order.quantity, order.filled, order.client]).toEqual([1, "sell", 100_000_000n, 25_000_000n, "mine"]);
  });

  test("proves receipts and trades", async () => {
    const core = prover(honest("newer"));
    const receipt = await core.receipt(world.receipt);
    expect([receipt.code, receipt.filled]).toEqual([0, 25_000_000n]);
    const trade = await core.trade(BigInt(world.trade), 1);
    expect([trade.price, trade.quantity, trade.taking]).toEqual([5_000_000_000_000n, 25_000_000n, "buy"]);
    const auction = await core.auction(1, Number(trade.height));
    expect([auction.ask, auction.bid, auction.price, auction.demand, auction.time]).toEqual([5_000_000_000_000n, 0n, 0n, 0n, trade.time]);
  });

  test.each(["early", "paying", "newer", "stolen"])("proves what the bank has and owes: %s", async (name) => {
    const { sums, said } = momentOf(name);
    const terms = await new Banks(prover(honest(name))).terms(4);
    expect([terms.free, terms.change, terms.lost, terms.books, terms.deficit].map(Number)).toEqual([
      sums.Free, sums.Change, sums.Lost, sums.Books, sums.Deficit,
    ]);
    expect(terms.supply).toBe(BigInt(said.supply));
    expect(terms.network).toBe(world.deposit.network);
  });

  test("proves deposit addresses, derived here", async () => {
    const banks = new Banks(prover(honest("newer")));
    const { bank, series, index, text, salt, other } = world.deposit;
    const address = await banks.depositAddress(bank, series, index, world.address);
    expect([address.text, address.used, hex(address.salt).startsWith(salt.slice(0, 6))]).toEqual([text, true, true]);
    expect(address.signers.recovery?.sequence).toBe((1 << 22) | 30_713);
    const fresh = await banks.freshAddress(bank, 1, 0, world.address, fromHex("05" + "00".repeat(15)));
    expect([fresh.text, fresh.used]).toEqual([other, false]);
    expect((await banks.bank(4)).series).toBe(2);
    expect((await banks.series(1, 1)).k).toBe(3);
  });

  test("goes on with time, and what was verified is saved", async () => {
    const servers = honest("early");
    const saved: Uint8Array[] = [];
    let now = world.now;
    const core = prover(servers, { save: (raw) => saved.push(raw), now: () => now });
    expect((await core.asset(1)).at.height).toBe(momentOf("early").height);
    for (const s of servers) Object.assign(s, { moment: momentOf("stolen"), height: momentOf("stolen").height });
    now += 1000; // the newest header is asked for once a second
    expect((await core.asset(1)).at.height).toBe(momentOf("stolen").height);
    const again = prover(servers, { saved: saved.at(-1) });
    expect((await again.newest()).height).toBe(momentOf("stolen").height);
  });

  test("of one member is believed alone, and of several never", async () => {
    await expect(prover(honest("early", 1)).asset(1)).rejects.toThrow(/One server alone/);
    expect((await prover(honest("early", 2)).asset(1)).symbol).toBe("BTC");
  });
});
