/** What is proven of banks: their keys, what they have and owe, and deposit addresses (H-100 to H-103). */
import {
  type Bank, type Batch, type Coin, type Limits, type Outpoint, type Series, coinDigest, parseAddress, parseBank, parseBatch, parseCoin,
  parseOutpoint, parseSeries,
} from "../souk/bank.ts";
import { BadBytes, equal, hex } from "../souk/bytes.ts";
import { chainAddress } from "../souk/chain.ts";
import { keys, parseAsset } from "../souk/leaf.ts";
import { type Core, Lie, type Proven } from "./core.ts";
import { array, record, text, whole } from "./json.ts";
import { ProofError } from "./problem.ts";
import { proofText as t } from "./text.ts";
import type { At } from "./verifier.ts";

/** Limits of a bank; delay is ms. */
export type BankLimits = Omit<Limits, "delay"> & { delay: number };

/** A bank as its proven leaf has it. */
export interface ProvenBank {
  bank: number;
  asset: number;
  network: string;
  /** How many series there are: new addresses are of the last. */
  series: number;
  tip: number;
  limits: BankLimits;
  next?: { limits: BankLimits; from: number };
}

/** What a bank has and what it owes, each from proven leaves (Y-73). */
export interface BankTerms extends ProvenBank {
  free: bigint; // coins that no transaction spends
  change: bigint; // what transactions under way bring back
  lost: bigint; // of both: stolen or in doubt
  coins: bigint; // free + change - lost
  books: bigint; // what the bank's leaf says it owes
  supply: bigint; // units of the asset in the ledger
  liabilities: bigint; // the larger of the two
  reserve: bigint; // of them
  deficit: bigint; // what is missing; zero: solvent
  /** How many leaves were proven: of coins, as the server lists them and by batches, and of batches. */
  counted: { coins: number; listed: number; batches: number };
}

/** How many keys of a series sign. */
export interface Signers {
  threshold: number;
  keys: number;
  recovery?: { threshold: number; keys: number; sequence: number };
}

/** A deposit address that was derived from proven keys, and proven to be the account's. */
export interface ProvenAddress {
  text: string;
  script: Uint8Array;
  series: number;
  index: number;
  used: boolean; // something that was paid to it was credited
  salt: Uint8Array;
  signers: Signers;
  /** Servers that showed another one, and what they showed. */
  lies: { server: string; what: string }[];
}

const chunk = 126; // leaves of coins that are asked for at once, with those of bank and asset
const mostCoins = 20_000;

function limitsOf(l: Limits): BankLimits {
  return { ...l, delay: Number(l.delay) };
}

function bankOf(b: Bank): ProvenBank {
  const { number: bank, asset, network, series, tip } = b;
  const next = b.next && { limits: limitsOf(b.next), from: Number(b.nextAt) };
  return { bank, asset, network, series, tip, limits: limitsOf(b.limits), ...(next && { next }) };
}

export function signersOf(s: Series): Signers {
  const r = s.recovery;
  return {
    threshold: s.k, keys: s.members.length,
    ...(r && { recovery: { threshold: r.k, keys: r.keys.length, sequence: r.sequence } }),
  };
}

export class Banks {
  readonly #core: Core;
  readonly #series = new Map<string, Series>();

  constructor(core: Core) {
    this.#core = core;
  }

  /** The bank of an asset, and that no other one is meant: an asset has one at most (Y-2). */
  async bank(asset: number): Promise<Proven<ProvenBank>> {
    const { number, value, at } = await this.#find(asset);
    return { ...bankOf(parseBank(number, value)), at };
  }

  /** A bank by its own number. */
  async byNumber(bank: number): Promise<Proven<ProvenBank>> {
    const { at, values } = await this.#core.leaves([keys.bank(bank)], t.what.bank);
    return { ...bankOf(this.#core.read(values[0], t.what.bank, (v) => parseBank(bank, v))), at };
  }

  async #find(asset: number): Promise<{ number: number; value: Uint8Array; at: At }> {
    const what = t.what.bank;
    const number = await this.#number(asset);
    const { at, values } = await this.#core.leaves([keys.bank(number)], what);
    const [value] = values;
    const bank = this.#core.read(value, what, (v) => parseBank(number, v));
    if (!value || bank.asset !== asset) throw new ProofError(t.swapped(what), "refused");
    return { number, value, at };
  }

  /** Which bank keeps an asset: out of the founding contract, or as a server says, which is proven next. */
  async #number(asset: number): Promise<number> {
    const { founding } = this.#core;
    const symbol = founding.origin ? undefined : founding.assets[asset - 1]?.symbol;
    const known = symbol === undefined ? undefined : founding.banks.find((b) => b.symbol === symbol);
    if (known) return known.number;
    return this.#core.ask("/v1/banks", t.what.bank, false, (answer) => {
      const found = array(record(answer)["banks"]).map(record).find((b) => b["asset"] === asset);
      if (!found) throw new ProofError(t.absent(t.what.bank), "absent");
      return Promise.resolve(whole(found["id"]));
    });
  }

  async series(bank: number, number: number): Promise<Proven<Series>> {
    const what = t.what.series(number);
    const { at, values } = await this.#core.leaves([keys.series(bank, number)], what);
    const series = this.#core.read(values[0], what, (v) => parseSeries(bank, number, v));
    this.#series.set(`${bank} ${number}`, series); // its keys never change
    return { ...series, at };
  }

  async signers(bank: number, number: number): Promise<Proven<Signers>> {
    const { at, ...series } = await this.series(bank, number);
    return { ...signersOf(series), at };
  }

  /** One of the account's deposit addresses: derived here, and its leaf proven to name the account. */
  async depositAddress(bank: number, series: number, index: number, address: string): Promise<Proven<ProvenAddress>> {
    const terms = await this.byNumber(bank);
    const s = this.#series.get(`${bank} ${series}`) ?? (await this.series(bank, series));
    // The curve of Bitcoin is a chunk of its own, for whoever wants an address.
    const { depositOutput } = await import("../souk/deposit.ts");
    const script = depositOutput(s, index);
    const derived = chainAddress(terms.network, script);
    const account = await this.#core.account(address);
    const target = `/v1/accounts/${address}/addresses?at=${series}-${index}&bank=${terms.asset}&proof=1`;
    const lies: ProvenAddress["lies"] = [];
    const key = keys.address(bank, series, index);
    const { at, used, salt } = await this.#core.ask(target, t.what.address, true, async (answer, server) => {
      try {
        const [shown, ...more] = array(record(answer)["addresses"]).map(record);
        if (!shown) throw new ProofError(t.status(server.name, 0, t.notThere(t.what.address)), "unreachable", server.name);
        if (more.length > 0) throw new BadBytes("more than one address");
        const said = text(shown["address"]);
        if (said !== derived) throw new Lie(t.address.derived(said.slice(0, 100)));
        const { at, value } = await this.#core.provenLeaf(shown["proof"], key);
        if (!value) throw new Lie(t.address.nobody);
        const owner = this.#core.read(value, t.what.address, parseAddress);
        if (owner.account !== account.number) throw new Lie(t.address.other);
        return { at, used: owner.used, salt: owner.salt };
      } catch (error) {
        if (error instanceof Lie) lies.push({ server: server.name, what: error.message });
        throw error;
      }
    });
    return { text: derived, script, series, index, used, salt, signers: signersOf(s), lies, at };
  }

  /** An address that a server says it has just allotted: it must be unused, of the newest series, and have our salt. */
  async freshAddress(bank: number, series: number, index: number, address: string, salt: Uint8Array): Promise<Proven<ProvenAddress>> {
    const a = await this.depositAddress(bank, series, index, address);
    const newest = (await this.byNumber(bank)).series - 1;
    const why = !equal(a.salt, salt) ? t.address.older : a.used ? t.address.used : series !== newest ? t.address.series(series, newest) : undefined;
    if (why !== undefined) throw new ProofError(t.address.said(why), "refused");
    return a;
  }

  /** One of the account's addresses of the newest series to which nothing was credited yet, if there is one. */
  async unusedAddress(bank: number, address: string): Promise<Proven<ProvenAddress> | undefined> {
    const terms = await this.byNumber(bank);
    const target = `/v1/accounts/${address}/addresses?bank=${terms.asset}&unused=1&limit=1`;
    return this.#core.ask(target, t.what.address, true, async (answer) => {
      const [first] = array(record(answer)["addresses"]).map(record);
      if (!first || whole(first["series"]) !== terms.series - 1) return undefined;
      const a = await this.depositAddress(bank, whole(first["series"]), whole(first["index"]), address);
      if (a.used) throw new Lie(t.address.used);
      return a;
    });
  }

  /**
   * What a bank has and owes. Every coin that counts is proven by its own leaf, and so is every transaction
   * under way with all that it spends: a server that leaves some out can make the bank look poorer, never richer.
   */
  async terms(asset: number): Promise<Proven<BankTerms>> {
    const { number } = await this.#find(asset);
    for (let i = 0; i < 4; i++) {
      const found = await this.#sum(asset, number);
      if (found) return found;
    }
    throw new ProofError(t.bank.moving, "unreachable");
  }

  async #sum(asset: number, number: number): Promise<Proven<BankTerms> | undefined> {
    const reading = new Reading(this.#core, asset, number);
    const listed = await this.#listed(asset);
    if (!(await reading.coins(listed))) return undefined;
    const asked = new Set<bigint>();
    for (;;) {
      const numbers = [...new Set([...reading.found.values()].filter((c) => c.state === "promised").map((c) => c.batch))].filter((n) => !asked.has(n));
      if (numbers.length === 0) break;
      numbers.forEach((n) => asked.add(n));
      if (!(await reading.batches(numbers))) return undefined;
      if (!(await reading.coins([...reading.live.values()].flatMap((b) => b.inputs)))) return undefined;
    }
    return reading.sums(listed.length);
  }

  /** The outpoints of a bank's coins, as a server lists them. */
  async #listed(asset: number): Promise<Outpoint[]> {
    const all: Outpoint[] = [];
    for (let after = ""; ; ) {
      const target = `/v1/banks/${asset}/coins${after === "" ? "" : `?after=${after}`}`;
      const next = await this.#core.ask(target, t.what.coins, false, (answer) => {
        const page = record(answer);
        for (const c of array(page["coins"]).map(record)) all.push(parseOutpoint(`${text(c["tx"])}:${whole(c["output"])}`));
        return Promise.resolve(page["next"] === undefined ? "" : text(page["next"]));
      });
      if (all.length > mostCoins) throw new ProofError(t.bank.large, "unreachable");
      if (next === "" || next === after) return all;
      parseOutpoint(next);
      after = next;
    }
  }
}

/** Leaves of one state of a bank, read in several answers. */
class Reading {
  readonly found = new Map<string, Coin>(); // by outpoint
  readonly live = new Map<bigint, Batch>();
  readonly #asked = new Set<string>();
  #bank: Uint8Array | undefined;
  #supply = { supply: 0n, reserve: 0n };
  #at: At = { height: 0, time: 0, hash: "" };

  constructor(
    readonly core: Core,
    readonly asset: number,
    readonly number: number,
  ) {}

  /** Reads leaves together with that of the bank; false if the bank has changed since. */
  async #read(list: readonly Uint8Array[], take: (value: Uint8Array | undefined, i: number) => void): Promise<boolean> {
    for (let from = 0; from === 0 || from < list.length; from += chunk) {
      const part = list.slice(from, from + chunk);
      const { at, values } = await this.core.leaves([keys.bank(this.number), keys.asset(this.asset), ...part], t.what.coins);
      const [bank, asset, ...rest] = values;
      if (!bank || (this.#bank && !equal(this.#bank, bank))) return false;
      this.#bank = bank;
      this.#supply = this.core.read(asset, t.what.asset(this.asset), (v) => parseAsset(this.asset, v));
      this.#at = at;
      rest.forEach((value, i) => take(value, from + i));
    }
    return true;
  }

  async coins(list: readonly Outpoint[]): Promise<boolean> {
    const fresh = list.filter((o) => {
      const name = hex(o.tx) + o.index;
      return !this.#asked.has(name) && this.#asked.add(name);
    });
    return this.#read(fresh.map((o) => keys.coin(coinDigest(this.number, o))), (value, i) => {
      const o = fresh[i];
      if (!value || !o) return;
      const coin = this.core.read(value, t.what.coins, parseCoin);
      if (coin.bank === this.number && coin.at.index === o.index && equal(coin.at.tx, o.tx)) this.found.set(hex(o.tx) + o.index, coin);
    });
  }

  async batches(numbers: readonly bigint[]): Promise<boolean> {
    let whole = true;
    const same = await this.#read(numbers.map((n) => keys.batch(this.number, n)), (value, i) => {
      const n = numbers[i] ?? 0n;
      const batch = value && this.core.read(value, t.what.coins, (v) => parseBatch(n, v));
      if (!batch || batch.settled) whole = false; // the coin was promised a moment ago
      else this.live.set(n, batch);
    });
    return same && whole;
  }

  /** Adds up (Y-73). */
  sums(listed: number): Proven<BankTerms> {
    const bank = parseBank(this.number, this.#bank ?? new Uint8Array());
    let [free, change, lost] = [0n, 0n, 0n];
    for (const c of this.found.values()) {
      if (c.state === "free") free += c.amount;
      const counts = c.state === "free" || (c.state === "promised" && !c.aside);
      if (counts && (c.stolen || (c.height === 0 && !c.unmined))) lost += c.amount;
    }
    for (const b of this.live.values()) {
      // A batch counts only if all that it spends is promised to it.
      const fits = b.inputs.every((o) => this.found.get(hex(o.tx) + o.index)?.batch === b.number);
      if (fits) change += b.back;
    }
    const { supply, reserve } = this.#supply;
    const coins = free + change - lost;
    const liabilities = bank.books > supply ? bank.books : supply;
    const deficit = liabilities > coins ? liabilities - coins : 0n;
    const counted = { coins: this.found.size, listed, batches: this.live.size };
    return { ...bankOf(bank), free, change, lost, coins, books: bank.books, supply, liabilities, reserve, deficit, counted, at: this.#at };
  }
}
