/**
 * The prover itself, as it works in the worker: whatever it answers was read out of leaves and results
 * that are proven under signed headers, by keys that it makes out of the question (H-62).
 */
import { BadBytes, equal, fromHex, hex } from "../souk/bytes.ts";
import { type Founding, readFounding } from "../souk/founding.ts";
import {
  type Account, type Asset, type Auction, type Market, type Order, type Receipt, type Trade, keys, parseAccount, parseAsset, parseAuction, parseMarket,
  parseOrder, parseReceipt, parseTrade,
} from "../souk/leaf.ts";
import { firstSet } from "../souk/light.ts";
import { decodeAddress } from "../souk/address.ts";
import { type PayRules, noSettings, parseSettings } from "../souk/settings.ts";
import { LightClient } from "./client.ts";
import { array, proofOf, record, whole } from "./json.ts";
import { ProofError, worse } from "./problem.ts";
import type { Server } from "./server.ts";
import { proofText as t } from "./text.ts";
import { type At, BadProof, OldProof, Verifier } from "./verifier.ts";

export type Proven<T> = T & { at: At };

/** An account's settings for withdrawals: in force, and to come from a time on. */
export interface Settings {
  now: PayRules;
  next?: { rules: PayRules; from: number };
}

/** A server showed what it must not: with its words for people, behind its name. */
export class Lie extends Error {
  override readonly name = "Lie";
}

export interface CoreOptions {
  id: string; // 64 hexadecimal digits
  founding: Uint8Array;
  servers: Server[];
  sign?: ((method: string, target: string) => string | Promise<string>) | undefined;
  saved?: Uint8Array | undefined;
  save?: (raw: Uint8Array, height: number) => void;
  now?: () => number;
  patience?: number;
}

const fullPower = 1_000_000n;
const maxLeaves = 128;

export class Core {
  readonly founding: Founding;
  readonly client: LightClient;
  readonly verifier: Verifier;
  readonly #o: CoreOptions;
  /** In the order in which they are asked; the light client goes by the same list. */
  readonly #servers: Server[];
  readonly #lies = new Map<string, string>();

  constructor(options: CoreOptions) {
    this.#o = options;
    this.#servers = [...options.servers];
    const vsid = fromHex(options.id, 32);
    this.founding = readFounding(vsid, options.founding);
    const { saved, save, now, patience } = options;
    this.client = new LightClient({
      vsid, saved, sources: this.#servers, founders: firstSet(this.founding.members.map((m) => m.consensus), fullPower),
      blame: (server, what) => this.#lies.set(server, what),
      ...(save && { save }), ...(now && { now }), ...(patience !== undefined && { patience }),
    });
    this.verifier = new Verifier(this.client, now);
  }

  /** Servers that were seen to lie, and what they did last. */
  lies(): { server: string; what: string }[] {
    return [...this.#lies].map(([server, what]) => ({ server, what }));
  }

  newest(): Promise<At> {
    return this.verifier.refresh();
  }

  /**
   * Asks one server after the other until one gives what check accepts. A server that lies is noted and
   * left; if none does better, the error names it.
   */
  async ask<T>(target: string, what: string, signed: boolean, check: (answer: unknown, server: Server) => Promise<T>): Promise<T> {
    await this.verifier.refresh();
    let problem: ProofError | undefined;
    for (const server of [...this.#servers]) {
      try {
        const token = signed ? await this.#token(target) : undefined;
        const answer = await server.get(target, token);
        if (answer === undefined) throw new ProofError(t.status(server.name, 404, t.notThere(what)), "unreachable", server.name);
        return await check(answer, server);
      } catch (error) {
        const found = this.#judge(error, server, what);
        if (found.kind === "absent" || found.kind === "fork" || found.kind === "expired") throw found;
        if (found.kind === "unreachable") this.#last(server);
        problem = worse(problem, found);
      }
    }
    throw problem ?? new ProofError(t.silent, "unreachable");
  }

  /** Asks a server that did not answer after all others from now on. */
  #last(server: Server): void {
    const at = this.#servers.indexOf(server);
    if (at >= 0) this.#servers.push(...this.#servers.splice(at, 1));
  }

  async #token(target: string): Promise<string> {
    if (!this.#o.sign) throw new ProofError(t.locked, "unreachable");
    return this.#o.sign("GET", target);
  }

  /** What an error of one server's answer comes to. */
  #judge(error: unknown, server: Server, what: string): ProofError {
    if (error instanceof ProofError) return error;
    if (error instanceof OldProof) return new ProofError(t.lies(server.name, t.old(what)), "old", server.name);
    if (!(error instanceof BadProof || error instanceof BadBytes || error instanceof Lie)) throw error;
    const said = error instanceof BadProof ? t.leaf(what) : error instanceof Lie ? error.message : t.malformed;
    this.#lies.set(server.name, said);
    return new ProofError(t.lies(server.name, said), "refused", server.name);
  }

  /** Public leaves of one state, at most 128 at a time. undefined: proven that there is none. */
  async leaves(list: readonly Uint8Array[], what: string): Promise<{ at: At; values: (Uint8Array | undefined)[] }> {
    if (list.length === 0 || list.length > maxLeaves) throw new TypeError("1 to 128 leaves can be asked for");
    const target = `/v1/leaves?keys=${list.map(hex).join(",")}`;
    return this.ask(target, what, false, (answer) => {
      const a = record(answer);
      const given = array(a["leaves"]);
      if (given.length !== list.length) throw new BadBytes("another number of leaves");
      const height = whole(a["height"]);
      return this.verifier.leaves(height, list.map((key, i) => ({ key, ...proofOf({ ...record(given[i]), height }) })));
    });
  }

  /** One leaf of the answer to a question, in its field proof. */
  async leaf(target: string, key: Uint8Array, what: string, signed: boolean): Promise<{ at: At; value: Uint8Array | undefined }> {
    return this.ask(target, what, signed, (answer) => this.provenLeaf(record(answer)["proof"], key));
  }

  async provenLeaf(proof: unknown, key: Uint8Array): Promise<{ at: At; value: Uint8Array | undefined }> {
    const p = proofOf(proof);
    const { at, values } = await this.verifier.leaves(p.height, [{ key, leaf: p.leaf, path: p.path }]);
    return { at, value: values[0] };
  }

  async asset(number: number): Promise<Proven<Asset>> {
    const what = t.what.asset(number);
    const { at, values } = await this.leaves([keys.asset(number)], what);
    const asset = this.read(values[0], what, (v) => parseAsset(number, v));
    return { ...asset, at };
  }

  /** A market and both its assets. */
  async market(number: number): Promise<Proven<Market & { baseAsset: Asset; quoteAsset: Asset }>> {
    const what = t.what.market(number);
    const { at, values } = await this.leaves([keys.market(number)], what);
    const market = this.read(values[0], what, (v) => parseMarket(number, v));
    const [baseAsset, quoteAsset] = await Promise.all([this.asset(market.base), this.asset(market.quote)]);
    return { ...market, baseAsset, quoteAsset, at };
  }

  async account(address: string): Promise<Proven<Account>> {
    const bytes = decodeAddress(address);
    const { at, value } = await this.leaf(`/v1/accounts/${address}?proof=1`, keys.account(bytes), t.what.account, true);
    return { ...this.read(value, t.what.account, parseAccount), at };
  }

  /** A live order, and that it is the account's (H-62). */
  async order(id: bigint, address: string): Promise<Proven<Order>> {
    const owner = await this.account(address);
    const what = t.what.order(id);
    return this.ask(`/v1/orders/${id}?proof=1`, what, true, async (answer) => {
      const { at, value } = await this.provenLeaf(record(answer)["proof"], keys.order(id));
      const order = this.read(value, what, (v) => parseOrder(id, v));
      if (order.owner !== owner.number) throw new Lie(t.foreign(what));
      return { ...order, at };
    });
  }

  /** What a block made of a command. */
  async receipt(id: string): Promise<Proven<Receipt>> {
    const wanted = fromHex(id, 32);
    return this.ask(`/v1/commands/${id}?proof=1`, t.what.receipt, false, async (answer) => {
      const { at, item, clock } = await this.verifier.item(proofOf(record(answer)["proof"]));
      const receipt = parseReceipt(item);
      if (!equal(receipt.id, wanted)) throw new Lie(t.swapped(t.what.receipt));
      if (receipt.height !== clock.height || receipt.time !== clock.time) throw new BadProof("receipt and clock are of different blocks");
      return { ...receipt, at };
    });
  }

  /** A trade, and its market unless that is zero. Height and time of its block help to find it. */
  async trade(id: bigint, market = 0, height = 0, time = 0): Promise<Proven<Trade>> {
    const what = t.what.trade(id);
    let target = `/v1/trades/${id}?proof=1`;
    if (market !== 0) target += `&market=${market}`;
    if (height !== 0) target += `&height=${height}&time=${time}`;
    return this.ask(target, what, false, async (answer) => {
      const { at, item, clock } = await this.verifier.item(proofOf(record(answer)["proof"]));
      const trade = parseTrade(item);
      if (trade.id !== id || (market !== 0 && trade.market !== market)) throw new Lie(t.swapped(what));
      if (trade.height !== clock.height || trade.time !== clock.time) throw new BadProof("trade and clock are of different blocks");
      return { ...trade, at };
    });
  }

  /** Why the trades of a block in a market have their prices (M-90). */
  async auction(market: number, height: number): Promise<Proven<Auction>> {
    const what = t.what.auction(height);
    return this.ask(`/v1/auctions/${market}/${height}?proof=1`, what, false, async (answer) => {
      const { at, item, clock } = await this.verifier.item(proofOf(record(answer)["proof"]));
      const auction = parseAuction(item);
      if (auction.market !== market || auction.height !== BigInt(height)) throw new Lie(t.swapped(what));
      if (auction.height !== clock.height || auction.time !== clock.time) throw new BadProof("auction and clock are of different blocks");
      return { ...auction, at };
    });
  }

  /** What an account says about its withdrawals; where nothing was ever set there is no leaf. */
  async withdrawalSettings(address: string): Promise<Proven<Settings>> {
    const { number } = await this.account(address);
    const target = `/v1/accounts/${address}/withdrawal-settings?proof=1`;
    const { at, value } = await this.leaf(target, keys.settings(number), t.what.settings, true);
    const { now, next } = value ? this.read(value, t.what.settings, parseSettings) : noSettings;
    return { now, ...(next && { next }), at };
  }

  /** Reads a proven value. What is not there is absent; what cannot be read is no server's fault. */
  read<T>(value: Uint8Array | undefined, what: string, parse: (value: Uint8Array) => T): T {
    if (!value) throw new ProofError(t.absent(what), "absent");
    try {
      return parse(value);
    } catch (error) {
      if (error instanceof BadBytes) throw new ProofError(t.unread(what), "unreachable");
      throw error;
    }
  }
}
