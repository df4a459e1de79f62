/**
 * What is proven of assets, markets and banks, by number: with these alone commands are said in
 * words and signed (docs/spec/10-http.md, H-90). And the page's one prover, which proves them.
 */
import { connection } from "../net/connection.ts";
import { sourcesOf } from "../net/sources.ts";
import { Prover } from "../proof/proof.ts";
import { decodeSignBytes, type Body } from "../souk/command.ts";
import type { AssetFacts, BankFacts, MarketFacts, OrderFacts, World } from "../souk/describe.ts";
import type { Key } from "../souk/keys.ts";

type Sign = (method: string, target: string) => string | Promise<string>;

let current: { prover: Prover; of: string } | undefined;
let signer: Sign | undefined;

/** Whose account is read: the session sets it. */
export function proveFor(sign: Sign | undefined): void {
  signer = sign;
}

/** The page's prover. It is made anew when the exchange or its servers are others. */
export function prover(): Prover {
  const of = [connection.id, ...connection.servers.map((s) => s.url)].join(" ");
  if (current?.of === of) return current.prover;
  current?.prover.close();
  const sources = sourcesOf(connection.servers.map((s) => s.url), connection.contract?.members ?? []);
  const sign: Sign = (method, target) => {
    if (!signer) throw new Error("the keys are locked");
    return signer(method, target);
  };
  current = { of, prover: new Prover({ id: connection.id, founding: connection.founding, sources, sign }) };
  return current.prover;
}

/** How long the proof of an order or a price that a command hangs on may take, ms. */
const patience = 4_000;

/** What a body names by number. */
interface Named {
  assets: number[];
  markets: number[];
  banks: number[];
}

function named(body: Body): Named {
  const names: Named = { assets: [], markets: [], banks: [] };
  if ("asset" in body) names.assets.push(body.asset);
  if ("market" in body && body.market !== 0) names.markets.push(body.market);
  if ("markets" in body) names.markets.push(...body.markets);
  if ("bank" in body) names.banks.push(body.bank);
  if ("allowed" in body) names.banks.push(...body.allowed.map((a) => a.bank));
  return names;
}

class Facts {
  #assets = new Map<number, AssetFacts>();
  #markets = new Map<number, MarketFacts>();
  #banks = new Map<number, BankFacts>();
  #of = "";

  /** An asset by its number, or undefined if nothing is proven of it yet. None of this ever changes, so it is kept. */
  asset(number: number): AssetFacts | undefined {
    this.#begin();
    return this.#assets.get(number);
  }

  market(number: number): MarketFacts | undefined {
    this.#begin();
    return this.#markets.get(number);
  }

  bank(number: number): BankFacts | undefined {
    this.#begin();
    return this.#banks.get(number);
  }

  /** The world in which sign bytes are read: all that they name, proven. Throws ProofError when that cannot be had. */
  async world(toSign: Uint8Array, key: Pick<Key, "address" | "name">): Promise<World> {
    const { vsid, command } = decodeSignBytes(toSign);
    const { body } = command;
    const names = named(body);
    const order = await this.#target(body, key.name);
    if (order) names.markets.push(order.market);
    const last = body.kind === "place" && body.order === "market" ? await lastPrice(body.market) : undefined;
    await Promise.all([
      ...names.assets.map((n) => this.provenAsset(n)), ...names.markets.map((n) => this.provenMarket(n)),
      ...names.banks.map((n) => this.provenBank(n)),
    ]);
    return {
      vsid,
      account: key.address,
      now: Date.now(),
      asset: (n) => this.asset(n),
      market: (n) => this.market(n),
      bank: (n) => this.bank(n),
      order: (id) => (order?.id === id ? order : undefined),
      last: () => last,
    };
  }

  /** The same as asset, but has it proven if it is not yet. */
  async provenAsset(number: number): Promise<AssetFacts> {
    const known = this.asset(number);
    if (known) return known;
    const { symbol, decimals } = await prover().asset(number);
    const fact = { number, symbol, decimals };
    this.#assets.set(number, fact);
    return fact;
  }

  async provenMarket(number: number): Promise<MarketFacts> {
    const known = this.market(number);
    if (known) return known;
    const { baseAsset, quoteAsset } = await prover().market(number);
    const fact = { number, base: bare(baseAsset), quote: bare(quoteAsset) };
    this.#markets.set(number, fact);
    return fact;
  }

  async provenBank(number: number): Promise<BankFacts> {
    const known = this.bank(number);
    if (known) return known;
    const { asset, network } = await prover().bankByNumber(number);
    const fact = { number, asset: await this.provenAsset(asset), network };
    this.#banks.set(number, fact);
    return fact;
  }

  /**
   * The order that an amend or a cancel names, proven as the account's own (H-92): an amend counts in the units of its
   * market, and ids come from servers' lists. A cancel of which it cannot be had is shown before it is signed.
   */
  async #target(body: Body, address: string): Promise<OrderFacts | undefined> {
    if ((body.kind !== "amend" && body.kind !== "cancel") || body.target.order === 0n) return undefined;
    const id = body.target.order;
    try {
      // An order of the newest block is proven by the next one's header.
      const { market, side, price, quantity } = await soon(() => prover().order(id, address));
      return { id, market, side, price, quantity };
    } catch (error) {
      if (body.kind === "amend") throw error;
      return undefined;
    }
  }

  /** Begins with the founding contract, unless it goes on from another state: then its numbers are others. */
  #begin(): void {
    if (this.#of === connection.id) return;
    this.#of = connection.id;
    for (const map of [this.#assets, this.#markets, this.#banks]) map.clear();
    const contract = connection.contract;
    if (!contract || contract.origin) return;
    for (const { number, symbol, decimals } of contract.assets) this.#assets.set(number, { number, symbol, decimals });
    for (const { number, base, quote } of contract.markets) this.#markets.set(number, { number, base: bare(base), quote: bare(quote) });
    for (const { number, symbol, network } of contract.banks) {
      const asset = contract.assets.find((a) => a.symbol === symbol);
      if (asset) this.#banks.set(number, { number, asset: bare(asset), network });
    }
  }
}

/** The price of a market's last trade, before the first one that of its terms (M-8), proven; undefined if that cannot be had. */
async function lastPrice(market: number): Promise<bigint | undefined> {
  try {
    const { last, terms } = await soon(() => prover().market(market));
    return last === 0n ? terms.reference : last;
  } catch {
    return undefined;
  }
}

/** Tries for a moment what may be provable in the next. */
async function soon<T>(prove: () => Promise<T>): Promise<T> {
  for (const end = Date.now() + patience; ; ) {
    try {
      return await prove();
    } catch (error) {
      if (Date.now() >= end) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function bare({ number, symbol, decimals }: AssetFacts): AssetFacts {
  return { number, symbol, decimals };
}

export const facts = new Facts();
