/**
 * The session's account: read once, then followed block by block over the event stream, and read
 * again when something was missed. What it says is what servers say; prove() asks for the proof.
 */
import { Gone, type Schemas } from "souk-api";
import {
  readBalance, readDeposit, readFill, readList, readOrder, readWithdrawal, underWay,
  type Balance, type Deposit, type Fill, type Order, type Payment, type Withdrawal,
} from "../money/read.ts";
import { connection } from "../net/connection.ts";
import { text } from "../text.ts";
import { say } from "./says.ts";
import { applyBlock, olderFills, type Known, type News } from "./ledger.ts";
import { session } from "./session.svelte.ts";

export type { Balance, Deposit, Fill, Order, Payment, Withdrawal } from "../money/read.ts";

const pageSize = 50;
/** How often lists are read that change without an event: depths and signatures. */
const lookEvery = 2_000;
/** How long to wait before the next try when nobody answers. */
const patience = 1_500;
/** Blocks come fast: what they ask to be read again is read once for all of a moment. */
const gather = 250;

class Account {
  /** Balances, orders and fills were read at least once for this account. */
  ready = $state(false);
  /** Nobody has paid this account yet: it does not exist. */
  absent = $state(false);
  /** Why nothing can be read now; empty: all is well. */
  problem = $state("");
  balances = $state.raw<Balance[]>([]);
  orders = $state.raw<Order[]>([]);
  fills = $state.raw<Fill[]>([]);
  /** There are older fills. */
  moreFills = $state(false);
  payments = $state.raw<Payment[]>([]);
  deposits = $state.raw<Deposit[]>([]);
  moreDeposits = $state(false);
  withdrawals = $state.raw<Withdrawal[]>([]);
  moreWithdrawals = $state(false);
  /** Counts changes of keys, of escrows and of withdrawal settings: who shows these reads them again. */
  keysVersion = $state(0);
  escrowsVersion = $state(0);
  rulesVersion = $state(0);

  #at: Known["at"] = { balances: 0, orders: 0, fills: 0 };
  #next = { fills: "", deposits: "", withdrawals: 0 };
  #turn = 0;
  #cut: AbortController | undefined;
  #due: { deposits: boolean; withdrawals: boolean } = { deposits: false, withdrawals: false };
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Ends the pause before the account is read again. */
  #wake: (() => void) | undefined;

  /** Follows the account whose keys are open. Answers what ends that. */
  start(): () => void {
    return $effect.root(() => {
      $effect(() => {
        const address = session.phase === "open" ? session.address : "";
        if (address === "" || connection.phase !== "ready") return;
        const cut = new AbortController();
        this.#cut = cut;
        void this.#follow(address, cut.signal);
        return () => {
          cut.abort();
          this.#clear();
        };
      });
    });
  }

  /**
   * Someone looks at deposits and withdrawals: depths and signatures are followed as well. No event tells
   * of a payment that members have only just seen: who waits for one asks for it. Answers what ends that.
   */
  watch(waits = false): () => void {
    const tick = setInterval(() => {
      if (document.hidden || this.absent || !this.ready) return;
      if (waits || this.deposits.some((d) => d.state !== "credited")) this.#ask({ deposits: true });
      if (this.withdrawals.some(underWay)) this.#ask({ withdrawals: true });
    }, lookEvery);
    return () => clearInterval(tick);
  }

  /** What is available of an asset. */
  of(asset: number): Balance | undefined {
    return this.balances.find((b) => b.asset === asset);
  }

  /** Reads everything anew. */
  async refresh(): Promise<void> {
    const signal = this.#cut?.signal;
    if (!signal || signal.aborted) return;
    const turn = ++this.#turn;
    const wasAbsent = this.absent;
    const { data, response } = await session.api.GET("/v1/accounts/{address}", { params: { path: { address: session.address } }, signal });
    if (signal.aborted || turn !== this.#turn) return;
    this.absent = response.status === 404;
    if (this.absent) {
      this.ready = true;
      return;
    }
    if (!data) throw new Error(text.money.unread);
    const balances = readList(data.balances, "balance", readBalance);
    const [orders, fills] = await Promise.all([this.#allOrders(signal), this.#fillPage(undefined, signal)]);
    await Promise.all([this.#readDeposits(undefined, signal), this.#readWithdrawals(undefined, signal)]);
    if (signal.aborted || turn !== this.#turn) return;
    this.balances = balances;
    this.orders = orders.list;
    this.fills = fills.list;
    this.#next.fills = fills.next;
    this.moreFills = fills.next !== "";
    this.#at = { balances: data.height, orders: orders.height, fills: fills.height };
    this.ready = true;
    this.problem = "";
    if (wasAbsent) this.#wake?.();
  }

  /** Reads the next page of older fills. */
  async olderFills(): Promise<void> {
    if (!this.moreFills) return;
    const page = await this.#fillPage(this.#next.fills, this.#cut?.signal);
    this.fills = olderFills(this.fills, page.list);
    this.#next.fills = page.next;
    this.moreFills = page.next !== "";
  }

  async olderDeposits(): Promise<void> {
    if (this.moreDeposits) await this.#readDeposits(this.#next.deposits, this.#cut?.signal);
  }

  async olderWithdrawals(): Promise<void> {
    if (this.moreWithdrawals) await this.#readWithdrawals(this.#next.withdrawals, this.#cut?.signal);
  }

  async #follow(address: string, signal: AbortSignal): Promise<void> {
    for (let again = false; !signal.aborted; again = true) {
      const read = again && (await this.#rest(this.absent ? 2 * patience : patience, signal));
      try {
        if (!read) await this.refresh();
        if (signal.aborted || this.absent) continue;
        const after = String(Math.min(this.#at.balances, this.#at.orders, this.#at.fills));
        for await (const message of connection.events({ account: address, after, signal }, (m, t) => session.sign(m, t))) this.#take(message);
      } catch (error) {
        if (signal.aborted) return;
        // Too much was missed, or an answer made no sense: everything is read again.
        if (!(error instanceof Gone)) this.problem = error instanceof Error ? error.message : String(error);
      }
    }
  }

  /**
   * Waits for so long; less, when somebody else has read the account, which was not there before: what
   * happens from then on shall be told. Answers whether it has been read.
   */
  #rest(ms: number, signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      const end = (read: boolean) => {
        clearTimeout(timer);
        this.#wake = undefined;
        resolve(read);
      };
      const timer = setTimeout(() => end(false), ms);
      signal.addEventListener("abort", () => end(false), { once: true });
      this.#wake = () => end(true);
    });
  }

  #take(message: Schemas["BlockEvents"]): void {
    const { known, news } = applyBlock({ balances: this.balances, orders: this.orders, fills: this.fills, payments: this.payments, at: this.#at }, message);
    this.problem = "";
    if (!message.account) return;
    this.balances = known.balances;
    this.orders = known.orders;
    this.fills = known.fills;
    this.payments = known.payments;
    if (news.keys) this.keysVersion++;
    if (news.escrows) this.escrowsVersion++;
    if (news.settings) this.rulesVersion++;
    if (news.deposits || news.withdrawals) this.#ask({ deposits: news.deposits, withdrawals: news.withdrawals });
    say(news);
  }

  /** Lists that are to be read again soon. */
  #ask(what: Partial<News>): void {
    this.#due.deposits ||= what.deposits === true;
    this.#due.withdrawals ||= what.withdrawals === true;
    this.#timer ??= setTimeout(() => {
      const due = this.#due;
      this.#due = { deposits: false, withdrawals: false };
      this.#timer = undefined;
      const signal = this.#cut?.signal;
      if (!signal || signal.aborted) return;
      const read = [due.deposits ? this.#readDeposits(undefined, signal) : undefined, due.withdrawals ? this.#readWithdrawals(undefined, signal) : undefined];
      // A try that fails is made again at the next look; the stream tells when servers are gone.
      void Promise.allSettled(read);
    }, gather);
  }

  async #allOrders(signal: AbortSignal): Promise<{ list: Order[]; height: number }> {
    const list: Order[] = [];
    for (let after = 0; ; ) {
      const { data } = await session.api.GET("/v1/orders", { params: { query: { after, limit: 1000 } }, signal });
      if (!data) throw new Error(text.money.unread);
      const page = readList(data.orders, "order", readOrder);
      list.push(...page);
      const last = page.at(-1);
      if (!last || page.length < 1000 || last.id <= after) return { list, height: data.height };
      after = last.id;
    }
  }

  async #fillPage(before: string | undefined, signal: AbortSignal | undefined): Promise<{ list: Fill[]; next: string; height: number }> {
    const query = { limit: pageSize, ...(before ? { before } : {}) };
    const { data } = await session.api.GET("/v1/fills", { params: { query }, ...(signal ? { signal } : {}) });
    if (!data) throw new Error(text.money.unread);
    return { list: readList(data.fills, "fill", readFill), next: data.next ?? "", height: data.height };
  }

  async #readDeposits(before: string | undefined, signal: AbortSignal | undefined): Promise<void> {
    const query = { limit: pageSize, ...(before ? { before } : {}) };
    const { data } = await session.api.GET("/v1/accounts/{address}/deposits", { params: { path: { address: session.address }, query }, ...(signal ? { signal } : {}) });
    if (!data || signal?.aborted) return;
    const page = readList(data.deposits, "deposit", readDeposit);
    const key = (d: Deposit) => `${d.tx}:${d.output}`;
    const newer = new Set(page.map(key));
    // A first page that is read again goes before the pages behind it that are known.
    const rest = this.deposits.filter((d) => !newer.has(key(d)));
    this.deposits = before ? [...rest, ...page] : this.deposits.length > pageSize ? [...page, ...rest] : page;
    if (before || this.deposits.length <= pageSize) {
      this.#next.deposits = data.next ?? "";
      this.moreDeposits = this.#next.deposits !== "";
    }
  }

  async #readWithdrawals(before: number | undefined, signal: AbortSignal | undefined): Promise<void> {
    const query = { limit: pageSize, ...(before ? { before } : {}) };
    const { data } = await session.api.GET("/v1/accounts/{address}/withdrawals", { params: { path: { address: session.address }, query }, ...(signal ? { signal } : {}) });
    if (!data || signal?.aborted) return;
    const page = readList(data.withdrawals, "withdrawal", readWithdrawal);
    const all = new Map(this.withdrawals.map((w) => [w.id, w]));
    for (const w of page) all.set(w.id, w);
    this.withdrawals = [...all.values()].sort((a, b) => b.id - a.id);
    if (before || this.#next.withdrawals === 0) {
      this.#next.withdrawals = data.next ?? 0;
      this.moreWithdrawals = this.#next.withdrawals !== 0;
    }
  }

  #clear(): void {
    this.#turn++;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#next = { fills: "", deposits: "", withdrawals: 0 };
    this.#at = { balances: 0, orders: 0, fills: 0 };
    [this.ready, this.absent, this.problem] = [false, false, ""];
    [this.balances, this.orders, this.fills, this.payments, this.deposits, this.withdrawals] = [[], [], [], [], [], []];
    [this.moreFills, this.moreDeposits, this.moreWithdrawals] = [false, false, false];
  }
}

export const account = new Account();
