/**
 * What runs mail in this browser: keys, mailbox, peer, and what is to be done when. One page of this
 * origin does it at a time, for all would have one mailbox. A chunk of its own with all that it needs.
 */
import { browserBook, type Book } from "./book.ts";
import { Carrier } from "./carrier.ts";
import { agreementOf, identityOf, newAgreement, newIdentity, type KeptKey } from "./keys.ts";
import { Mailbox } from "./mailbox.ts";
import { findStamp } from "./minter.ts";
import { Peer, type Neighbour } from "./peer.ts";
import type { Received } from "./records.ts";
import type { Price } from "./stamp.ts";

/** What a server says of its network (H-139). */
export interface Offer {
  addresses: string[];
  relays: boolean;
  price: Price;
}

export interface OfficeOptions {
  offer: Offer;
  changed: () => void;
  heard: (letter: Received) => void;
}

/** Others are asked for what was missed so often, ms (O-72); sooner when nobody answered. */
const syncEvery = 3_600_000;
const syncAgain = 20_000;
/** After a peer came it is asked at once, and again when it surely knows what is listened to here. */
const syncAfter = [0, 4_000, 20_000];
/** How often the connection to the server is looked at, and made again if it is gone, ms. */
const lookEvery = 5_000;
const lock = "souk-mail";

/** Keys of this browser: one of its mailbox's two is who writes, one opens; the third is who it is among peers. */
interface Keys {
  identity: KeptKey;
  key: KeptKey;
  peer: KeptKey;
}

export class Office {
  readonly mailbox: Mailbox;
  readonly peer: Peer;
  readonly #carrier: Carrier;
  readonly #options: OfficeOptions;
  readonly #ended = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** When others are asked next, in order. */
  #syncs: number[] = [];
  #known = new Set<string>();
  #turned: number;
  #looking = false;
  #dialling = false;
  #letGo: () => void;

  private constructor(mailbox: Mailbox, peer: Peer, options: OfficeOptions, letGo: () => void) {
    this.mailbox = mailbox;
    this.peer = peer;
    this.#options = options;
    this.#letGo = letGo;
    this.#turned = mailbox.hour();
    this.#carrier = new Carrier(peer, options.offer.price, mailbox);
    for (const shard of mailbox.shards) this.#carrier.listen(shard);
  }

  /** Opens the mailbox and connects; undefined if another page of this browser does it already. */
  static async open(options: OfficeOptions): Promise<Office | undefined> {
    const letGo = await takeLock();
    if (!letGo) return undefined;
    try {
      const keys = await keysOf(browserBook);
      let office: Office | undefined;
      const changed = () => {
        options.changed();
        office?.look();
      };
      const mailbox = await Mailbox.open({
        owner: { identity: identityOf(keys.identity), key: agreementOf(keys.key) }, book: browserBook, changed, heard: options.heard, again: () => office?.again(),
      });
      const peer = await Peer.start(identityOf(keys.peer), changed);
      office = new Office(mailbox, peer, options, letGo);
      office.look();
      return office;
    } catch (error) {
      letGo();
      throw error;
    }
  }

  get neighbours(): Neighbour[] {
    return this.peer.neighbours();
  }

  /** Something else is looked for than before. */
  again(): void {
    this.#carrier.again();
    this.#ask(0);
    this.look();
  }

  /** Does what is due, soon. */
  look(): void {
    if (this.#ended.signal.aborted) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#work(), this.#looking ? lookEvery : 0);
  }

  async #work(): Promise<void> {
    if (this.#looking || this.#ended.signal.aborted) return;
    this.#looking = true;
    try {
      void this.#connect();
      if (this.mailbox.hour() !== this.#turned) {
        this.#turned = this.mailbox.hour();
        this.#carrier.turn();
      }
      await this.#exchange();
    } catch {
      // It is tried again below.
    } finally {
      this.#looking = false;
      clearTimeout(this.#timer);
      const next = Math.min(this.mailbox.outbox.next, this.#syncs[0] ?? Infinity);
      const wait = this.#known.size === 0 ? lookEvery : Math.max(0, Math.min(lookEvery, next - Date.now()));
      if (!this.#ended.signal.aborted) this.#timer = setTimeout(() => void this.#work(), wait);
    }
  }

  /** Connects to the server if it is not there. It may take long, and other browsers may be there. */
  async #connect(): Promise<void> {
    if (this.#dialling || this.peer.neighbours().some((n) => !n.browser)) return;
    this.#dialling = true;
    await this.peer.dial(this.#options.offer.addresses).catch(() => undefined);
    this.#dialling = false;
  }

  /** Has others asked after some times. */
  #ask(...after: number[]): void {
    this.#syncs = [...this.#syncs, ...after.map((ms) => Date.now() + ms)].sort((a, b) => a - b);
  }

  async #exchange(): Promise<void> {
    const peers = this.peer.peers();
    if (peers.some((p) => !this.#known.has(p))) this.#ask(...syncAfter);
    this.#known = new Set(peers);
    if (peers.length === 0) return;
    const now = Date.now();
    if ((this.#syncs[0] ?? Infinity) <= now) {
      this.#syncs = this.#syncs.filter((at) => at > now);
      const answered = await this.#carrier.sync();
      if (this.#syncs.length === 0) this.#ask(answered > 0 ? syncEvery : syncAgain);
    }
    // A stamp may take long, and mail comes meanwhile.
    void this.mailbox.outbox.work({
      price: this.#options.offer.price, stamp: (id, target) => findStamp(id, target, this.#ended.signal), send: (e, times) => this.#carrier.send(e, times),
    }).catch(() => undefined);
  }

  /** Ends it; another page may take it over. */
  async close(): Promise<void> {
    this.#ended.abort(new Error("the page is closed"));
    clearTimeout(this.#timer);
    await this.peer.stop().catch(() => undefined);
    this.#letGo();
  }
}

/** Takes the lock that one page has at a time; what it answers lets it go. */
function takeLock(): Promise<(() => void) | undefined> {
  return new Promise((resolve) => {
    void navigator.locks.request(lock, { ifAvailable: true }, (got) => {
      if (!got) return resolve(undefined);
      return new Promise<void>((letGo) => resolve(letGo));
    });
  });
}

/** The keys that this browser keeps; made at the first visit. */
async function keysOf(book: Book): Promise<Keys> {
  const kept = (await book.all<Keys>("keys")).get("keys");
  if (kept) return kept;
  const keys: Keys = { identity: await newIdentity(), key: await newAgreement(), peer: await newIdentity() };
  await book.write({ keys });
  return keys;
}
