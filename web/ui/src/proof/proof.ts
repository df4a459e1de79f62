/**
 * The page's way to the prover, which works in a worker: everything it answers was proven from the pinned
 * virtual server's id on. A server whose proof does not hold is left for the next one, and noted.
 */
import { scriptURL } from "../net/trusted.ts";
import type { Series } from "../souk/bank.ts";
import type { Account, Asset, Auction, Market, Order, Receipt, Trade } from "../souk/leaf.ts";
import type { BankTerms, ProvenAddress, ProvenBank, Signers } from "./banks.ts";
import type { Proven, Settings } from "./core.ts";
import type { FromWorker, ToWorker } from "./messages.ts";
import { ProofError } from "./problem.ts";
import type { Source } from "./server.ts";
import { callerText as t } from "./caller-text.ts";
import type { At } from "./verifier.ts";
import workerURL from "./worker.ts?worker&url";

export { ProofError, type ProblemKind } from "./problem.ts";
export type { At, BankTerms, Proven, ProvenAddress, ProvenBank, Signers, Source };

export interface ProverOptions {
  id: string; // 64 hexadecimal digits
  founding: Uint8Array; // the contract's bytes, whose hash is the id
  sources: Source[];
  /** Signs a read of the session's account: the header Souk-Read. Absent: public things only. */
  sign?: (method: string, target: string) => string | Promise<string>;
}

interface Call {
  resolve(value: unknown): void;
  reject(error: ProofError): void;
}

export class Prover {
  readonly #options: ProverOptions;
  readonly #calls = new Map<number, Call>();
  #worker: Worker | undefined;
  #last = 0;

  constructor(options: ProverOptions) {
    this.#options = options;
  }

  /** An asset by its number: symbol, decimals and supplies. */
  asset(number: number): Promise<Proven<Asset>> {
    return this.#call("asset", number);
  }

  /** A market by its number, with both its assets. */
  market(number: number): Promise<Proven<Market & { baseAsset: Asset; quoteAsset: Asset }>> {
    return this.#call("market", number);
  }

  account(address: string): Promise<Proven<Account>> {
    return this.#call("account", address);
  }

  /** A live order, and that it is the account's. */
  order(id: bigint, address: string): Promise<Proven<Order>> {
    return this.#call("order", id, address);
  }

  /** What a block made of a command, by the command's id in hexadecimal digits. */
  receipt(id: string): Promise<Proven<Receipt>> {
    return this.#call("receipt", id);
  }

  /** A trade, and its market unless that is zero. Height and time of its block help to find it. */
  trade(id: bigint, market = 0, height = 0, time = 0): Promise<Proven<Trade>> {
    return this.#call("trade", id, market, height, time);
  }

  /** Why the trades of a block in a market have their prices. */
  auction(market: number, height: number): Promise<Proven<Auction>> {
    return this.#call("auction", market, height);
  }

  withdrawalSettings(address: string): Promise<Proven<Settings>> {
    return this.#call("withdrawalSettings", address);
  }

  /** The bank of an asset: one leaf. */
  bank(asset: number): Promise<Proven<ProvenBank>> {
    return this.#call("bank", asset);
  }

  /** A bank by its own number. */
  bankByNumber(bank: number): Promise<Proven<ProvenBank>> {
    return this.#call("bankByNumber", bank);
  }

  /** What the bank of an asset has and owes: a leaf for every coin, so it may take a while. */
  bankTerms(asset: number): Promise<Proven<BankTerms>> {
    return this.#call("bankTerms", asset);
  }

  series(bank: number, number: number): Promise<Proven<Series>> {
    return this.#call("series", bank, number);
  }

  signers(bank: number, number: number): Promise<Proven<Signers>> {
    return this.#call("signers", bank, number);
  }

  /** One of the account's deposit addresses, derived from proven keys and proven to be the account's. */
  depositAddress(bank: number, series: number, index: number, address: string): Promise<Proven<ProvenAddress>> {
    return this.#call("depositAddress", bank, series, index, address);
  }

  /** The same of one that was allotted just now for a salt that was drawn here. */
  freshAddress(bank: number, series: number, index: number, address: string, salt: Uint8Array): Promise<Proven<ProvenAddress>> {
    return this.#call("freshAddress", bank, series, index, address, salt);
  }

  /** One of the account's addresses of the newest series to which nothing was paid yet, if there is one. */
  unusedAddress(bank: number, address: string): Promise<Proven<ProvenAddress> | undefined> {
    return this.#call("unusedAddress", bank, address);
  }

  /** The newest header whose signatures were checked. It may still lack a second server's word. */
  newest(): Promise<At> {
    return this.#call("newest");
  }

  /** Servers that were seen to lie, and what they did last. */
  liars(): Promise<{ server: string; what: string }[]> {
    return this.#call("lies");
  }

  /** Begins anew from a checkpoint that somebody told the user, after an error "expired". */
  trust(height: number, hash: Uint8Array): Promise<void> {
    return this.#call("trust", height, hash);
  }

  /** Ends the worker. Calls under way are rejected. */
  close(): void {
    this.#worker?.terminate();
    this.#worker = undefined;
    this.#fail(t.closed);
  }

  #call<T>(method: string, ...args: unknown[]): Promise<T> {
    return new Promise((resolve, reject) => {
      const id = ++this.#last;
      this.#calls.set(id, { resolve: resolve as (value: unknown) => void, reject });
      this.#post({ kind: "call", id, method, args });
    });
  }

  #post(message: ToWorker): void {
    if (!this.#worker) {
      const { id, founding, sources } = this.#options;
      const worker = new Worker(scriptURL(workerURL), { type: "module", name: "prover" });
      worker.onmessage = ({ data }: MessageEvent<FromWorker>) => this.#take(data);
      worker.onerror = () => {
        worker.terminate();
        if (this.#worker === worker) this.#worker = undefined;
        this.#fail(t.ended);
      };
      // Reactive values cannot be sent: plain copies can.
      worker.postMessage({ kind: "setup", id, founding, sources: sources.map(({ url, name }) => ({ url, name })) } satisfies ToWorker);
      this.#worker = worker;
    }
    this.#worker.postMessage(message);
  }

  #take(m: FromWorker): void {
    if (m.kind === "sign") {
      void this.#sign(m.id, m.method, m.target);
      return;
    }
    const call = this.#calls.get(m.id);
    this.#calls.delete(m.id);
    if (m.kind === "answer") call?.resolve(m.value);
    else call?.reject(new ProofError(m.message, m.problem ?? "unreachable", m.server));
  }

  async #sign(id: number, method: string, target: string): Promise<void> {
    try {
      const { sign } = this.#options;
      if (!sign) throw new Error(t.locked);
      const token = await sign(method, target);
      this.#worker?.postMessage({ kind: "signed", id, token } satisfies ToWorker);
    } catch (error) {
      const message = error instanceof Error ? error.message : t.locked;
      this.#worker?.postMessage({ kind: "unsigned", id, message } satisfies ToWorker);
    }
  }

  #fail(why: string): void {
    for (const call of this.#calls.values()) call.reject(new ProofError(why, "unreachable"));
    this.#calls.clear();
  }
}
