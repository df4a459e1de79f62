/**
 * The user's key in this browser: made of words, kept under a passphrase, held in memory while
 * the session is open, and never sent anywhere. All that is signed is signed here.
 */
import type { Schemas, Souk } from "souk-api";
import { connection } from "../net/connection.ts";
import { Refusal } from "../net/submit.ts";
import { fromHex, hex } from "../souk/bytes.ts";
import { commandOf, finish, signBytes, type Body } from "../souk/command.ts";
import { describe, type Description, type OrderFacts } from "../souk/describe.ts";
import { checkWords, keyOf, newWords, type Key } from "../souk/keys.ts";
import { signRead } from "../souk/read.ts";
import * as vault from "../souk/vault.ts";
import { text } from "../text.ts";
import { confirmations } from "./confirm.svelte.ts";
import { facts, proveFor } from "./facts.ts";
import { isProven, watch } from "./fate.ts";
import { Nonces } from "./nonces.ts";
import { settings } from "./settings.svelte.ts";
import { Tabs, wipeAll } from "./tabs.ts";

export type SessionPhase = "new" | "locked" | "open";

/** always: ask whatever the settings say. settings: as the user likes. never: do not ask; but what moves money is asked always. */
export type Asking = "always" | "settings" | "never";

/** How a command is wanted. */
export interface Wish {
  confirm?: Asking;
  /** Of a cancel: whether this is the order that was meant. Ids come from servers' lists. */
  expect?: (order: OrderFacts) => boolean;
}

interface Prepared {
  description: Description;
  toSign: Uint8Array;
  nonce: bigint;
  expiry: number;
  asked: boolean;
}

/** A server said why the command was not executed. */
export class CommandRefused extends Error {
  override readonly name = "CommandRefused";
  constructor(readonly receipt: Schemas["Receipt"]) {
    super(receipt.message);
  }
}

/** The user said no. */
export class Cancelled extends Error {
  override readonly name = "Cancelled";
}

/** There is no open key. */
export class Locked extends Error {
  override readonly name = "Locked";
}

/** The question stood for so long that what was shown would have expired. */
export class TooLate extends Error {
  override readonly name = "TooLate";
}

/** What is kept beside the vault; nothing in it is secret but the words of a practice account. */
interface Notes {
  backedUp: boolean;
  /** Words of an account for play money, which needs no passphrase. */
  practice?: string;
}

const notesPlace = "souk.account";
/** For how long what is sent may wait for its block, ms; what is shown first gets longer. */
const life = { quick: 60_000, shown: 300_000, least: 20_000, spread: 10_000, late: 30_000 };
/** Codes after which the highest nonce is asked for again: used, stale, too far. */
const nonceCodes = new Set([7, 8, 9]);
/** Kinds that trade, and such as only take back or open: all others give money or power away, and are shown always. */
const orders: ReadonlySet<Body["kind"]> = new Set<Body["kind"]>(["place", "place-oco", "amend"]);
const harmless: ReadonlySet<Body["kind"]> = new Set<Body["kind"]>(["cancel", "cancel-all", "cancel-all-after", "new-address"]);

class Session {
  phase = $state<SessionPhase>("new");
  /** What the browser keeps was looked at. */
  ready = $state(false);
  /** souk1...; empty in the phase new. It is known while it is locked. */
  address = $state("");
  /** An account for play money: its words lie in this browser without a passphrase. */
  practice = $state(false);
  /** The user has shown that the words are written down. */
  backedUp = $state(false);
  /** A passkey opens the vault too. */
  passkey = $state(false);
  #key: Key | undefined;
  #words = "";
  #vault: vault.Vault | undefined;
  #api: Souk["api"] | undefined;
  #nonces = new Nonces(() => this.#topNonce());
  #tabs = new Tabs({
    locked: () => this.#drop("locked"),
    out: () => this.#drop("new"),
    opened: (words) => void this.#adopt(words),
    words: () => (this.practice ? "" : this.#words),
  });

  /** Looks what this browser keeps. A practice account is open at once; others are when another tab has them open. */
  async start(): Promise<void> {
    const notes = readNotes();
    this.backedUp = notes.backedUp;
    try {
      this.#vault = await vault.kept();
    } catch {
      this.#vault = undefined;
    }
    if (this.#vault) {
      this.#show(this.#vault);
      this.phase = "locked";
      this.#tabs.ask();
    } else if (notes.practice) {
      await this.#open(notes.practice);
      this.practice = true;
    }
    this.ready = true;
  }

  /** Makes new words; nothing is kept before create. */
  newWords(): Promise<string> {
    return newWords();
  }

  /** Keeps new words under a passphrase and opens the session. */
  async create(words: string, passphrase: string): Promise<void> {
    await this.#seal(words, passphrase, false);
  }

  /** The same with words that their owner wrote down. Throws BadWords. */
  async restore(words: string, passphrase: string): Promise<void> {
    await this.#seal(await checkWords(words), passphrase, true);
  }

  /** An account for play money, in one step and without a passphrase. */
  async createPractice(): Promise<void> {
    const words = await newWords();
    await this.#open(words);
    this.practice = true;
    this.#note({ backedUp: false, practice: words });
  }

  /** Opens what is locked. Throws WrongPassphrase. */
  async unlock(passphrase: string): Promise<void> {
    if (!this.#vault) throw new Locked();
    await this.#open(await vault.open(this.#vault, passphrase));
    this.#tabs.opened(this.#words);
  }

  /** The same by the passkey. */
  async unlockByPasskey(): Promise<void> {
    if (!this.#vault) throw new Locked();
    await this.#open(await vault.openByPasskey(this.#vault));
    this.#tabs.opened(this.#words);
  }

  /** Forgets the key until the passphrase comes again, in all tabs. A practice account has none and stays. */
  lock(): void {
    if (this.phase !== "open" || this.practice) return;
    this.#drop("locked");
    this.#tabs.locked();
  }

  /** Wipes everything that this browser keeps of the user, in all tabs. Only the words bring the account back. */
  async signOut(): Promise<void> {
    this.#drop("new");
    this.#vault = undefined;
    this.#tabs.out();
    await wipeAll();
  }

  /** The words, for who gives the passphrase again. Throws WrongPassphrase. */
  async words(passphrase: string): Promise<string> {
    if (this.practice) return this.#words;
    if (!this.#vault) throw new Locked();
    return vault.open(this.#vault, passphrase);
  }

  /** The user has shown that the words are written down. */
  confirmBackup(): void {
    this.backedUp = true;
    this.#note({ ...readNotes(), backedUp: true });
  }

  /** Adds a passkey as an extra lock. The passphrase goes on to open. */
  async addPasskey(passphrase: string): Promise<void> {
    if (!this.#vault) throw new Locked();
    const next = await vault.addPasskey(this.#vault, await vault.open(this.#vault, passphrase));
    await vault.keep(next);
    this.#vault = next;
    this.#show(next);
  }

  /** The operations that the account's owner may ask; requests are signed. */
  get api(): Souk["api"] {
    this.#api ??= connection.signedApi(this.sign);
    return this.#api;
  }

  /** Signs a read: the header Souk-Read. */
  readonly sign = (method: string, target: string): string => signRead(this.#vsid(), this.#held(), Date.now(), method, target);

  get publicKey(): Uint8Array {
    return this.#held().publicKey;
  }

  /**
   * Has a command executed, and answers the receipt of its block. The bytes are made first, said in
   * words out of the bytes themselves, and these very bytes are signed when the user says yes.
   * Throws Cancelled, CommandRefused, Unclear (nothing is proven of what it names), Undecided.
   */
  async submit(body: Body, options: Wish = {}): Promise<Schemas["Receipt"]> {
    const key = this.#held();
    const { description, toSign, nonce, expiry, asked } = await this.#prepare(body, options);
    if (asked) {
      if (!(await confirmations.ask(description))) throw new Cancelled();
      if (this.#held() !== key) throw new Locked();
      if (expiry - Date.now() < life.least) throw new TooLate();
    }
    const signed = finish(toSign, key);
    const stands = () => this.#nonces.open(hex(key.publicKey), nonce, expiry + life.late);
    let receipt;
    try {
      receipt = await connection.submit(signed.bytes, hex(signed.id), expiry);
    } catch (error) {
      if (error instanceof Refusal) await stands();
      throw error;
    }
    if (receipt.code === 0) {
      void watch(receipt, signed.bytes);
      return receipt;
    }
    if (nonceCodes.has(receipt.code)) this.#nonces.forget();
    else if (!(await isProven(receipt))) await stands();
    throw new CommandRefused(receipt);
  }

  async #prepare(body: Body, { confirm: asking = "settings", expect }: Wish): Promise<Prepared> {
    const key = this.#held();
    const grave = !orders.has(body.kind) && !harmless.has(body.kind);
    const likely = grave || asking === "always" || (asking === "settings" && settings.confirmOrders && orders.has(body.kind));
    const draft = (expiry: number, nonce: bigint) => signBytes(this.#vsid(), commandOf(key, { nonce, expiry: BigInt(expiry), body }));
    const expiry = Date.now() + (likely ? life.shown : life.quick) + Math.floor(Math.random() * life.spread);
    const nonce = await this.#nonces.next(hex(key.publicKey));
    const toSign = draft(expiry, nonce);
    const world = await facts.world(toSign, key);
    if (expect && body.kind === "cancel") {
      const order = world.order?.(body.target.order);
      if (order && !expect(order)) throw new Error(text.session.otherOrder(body.target.order));
    }
    const description = describe(toSign, world);
    // What is said of an order with a warning is shown, whatever the settings are.
    return { description, toSign, nonce, expiry, asked: likely || description.moves || description.warnings.length > 0 };
  }

  async #topNonce(): Promise<bigint> {
    const { data, response, error } = await this.api.GET("/v1/nonce");
    if (data) return BigInt(data.top);
    if (response.status === 404) return 0n;
    throw new Error(error?.detail ?? `answers ${response.status}`);
  }

  async #seal(words: string, passphrase: string, backedUp: boolean): Promise<void> {
    const sealed = await vault.seal(words, passphrase);
    await vault.keep(sealed);
    this.#vault = sealed;
    await this.#open(words);
    this.practice = false;
    this.#show(sealed);
    this.backedUp = backedUp;
    this.#note({ backedUp });
    this.#tabs.opened(words);
  }

  async #open(words: string): Promise<void> {
    const key = await keyOf(words);
    this.#key?.wipe();
    this.#key = key;
    this.#words = words;
    this.address = key.name;
    this.#nonces.forget();
    this.#api = undefined;
    proveFor(this.sign);
    this.phase = "open";
  }

  /** Another tab has opened the vault of this browser, or made one: this tab follows. */
  async #adopt(words: string): Promise<void> {
    const sealed = await vault.kept().catch(() => undefined);
    if (!sealed) return;
    const key = await keyOf(words);
    const ours = key.name === sealed.address;
    key.wipe();
    if (!ours) return;
    this.#vault = sealed;
    if (this.phase !== "open" || this.address !== sealed.address) await this.#open(words);
    this.practice = false;
    this.backedUp = readNotes().backedUp;
    this.#show(sealed);
  }

  #drop(to: "locked" | "new"): void {
    this.#key?.wipe();
    this.#key = undefined;
    this.#words = "";
    this.#api = undefined;
    proveFor(undefined);
    confirmations.pending?.answer(false);
    this.phase = to;
    if (to === "locked") return;
    this.#vault = undefined;
    this.address = "";
    this.practice = this.backedUp = this.passkey = false;
  }

  #show(kept: vault.Vault): void {
    this.address = kept.address;
    this.passkey = kept.locks.some((l) => l.kind === "passkey");
  }

  #note(notes: Notes): void {
    localStorage.setItem(notesPlace, JSON.stringify(notes));
  }

  #held(): Key {
    if (!this.#key) throw new Locked();
    return this.#key;
  }

  #vsid(): Uint8Array {
    return fromHex(connection.id, 32);
  }
}

function readNotes(): Notes {
  try {
    const value = JSON.parse(localStorage.getItem(notesPlace) ?? "{}") as Partial<Notes>;
    return { backedUp: value.backedUp === true, ...(typeof value.practice === "string" ? { practice: value.practice } : {}) };
  } catch {
    return { backedUp: false };
  }
}

export const session = new Session();
