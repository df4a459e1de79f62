/** Mail as the view shows it. The code that does it is fetched when its user asks for mail. */
import { announce } from "../state/announce.svelte.ts";
import { session } from "../state/session.svelte.ts";
import type { Neighbour } from "./peer.ts";
import type { Office, Offer } from "./office.ts";
import type { Contact, Received, Sent } from "./records.ts";
import { words } from "./words.ts";

/** Before a server is asked; none: it has no peer; closed: the user has not asked for mail. */
export type MailPhase = "unknown" | "none" | "closed" | "opening" | "open" | "elsewhere" | "failed";

const place = "souk.mail";

class Mail {
  phase = $state<MailPhase>("unknown");
  problem = $state("");
  received = $state.raw<Received[]>([]);
  sent = $state.raw<Sent[]>([]);
  contacts = $state.raw<Contact[]>([]);
  neighbours = $state.raw<Neighbour[]>([]);
  addresses = $state.raw<string[]>([]);
  name = $state("");
  #office: Office | undefined;
  #offer: Offer | undefined;
  #due = false;

  constructor() {
    // Who signs out leaves nothing here.
    let before = session.phase;
    $effect.root(() => {
      $effect(() => {
        if (session.phase === "new" && before !== "new") void this.#end();
        before = session.phase;
      });
    });
  }

  get unread(): number {
    return this.received.filter((r) => !r.seen).length;
  }

  /** Asks the server that the page came from whether it has a peer: the page may connect to no other one. */
  async look(): Promise<void> {
    if (this.phase !== "unknown" && this.phase !== "none" && this.phase !== "closed") return;
    this.#offer = await offerOf();
    if (!this.#offer) this.phase = "none";
    else if (localStorage.getItem(place) === "1") await this.open();
    else this.phase = "closed";
  }

  async open(): Promise<void> {
    if (!this.#offer || this.phase === "opening" || this.phase === "open") return;
    this.phase = "opening";
    try {
      const { Office } = await import("./office.ts");
      this.#office = await Office.open({
        offer: this.#offer,
        changed: () => this.#changed(),
        heard: (letter) => announce.say(`${words.title}: ${letter.subject || words.inbox.noSubject}`),
      });
      this.phase = this.#office ? "open" : "elsewhere";
      if (this.#office) localStorage.setItem(place, "1");
      this.#copy();
    } catch (error) {
      this.problem = error instanceof Error ? error.message : String(error);
      this.phase = "failed";
    }
  }

  /** What has changed is shown at once, and once for all that changes together. */
  #changed(): void {
    if (this.#due) return;
    this.#due = true;
    queueMicrotask(() => {
      this.#due = false;
      this.#copy();
    });
  }

  #copy(): void {
    const office = this.#office;
    if (!office) return;
    const { mailbox, peer } = office;
    this.received = [...mailbox.received.values()].filter((r) => !r.gone).map((r) => ({ ...r })).sort((a, b) => b.at - a.at);
    this.sent = mailbox.outbox.list().map((s) => ({ ...s })).reverse();
    this.contacts = [...mailbox.people.values()].map((c) => ({ ...c })).sort((a, b) => a.name.localeCompare(b.name));
    this.neighbours = office.neighbours;
    this.addresses = peer.addresses();
    this.name = peer.name;
  }

  /** What does it; there is one while the phase is open. */
  get office(): Office {
    if (!this.#office) throw new Error("mail is not open");
    return this.#office;
  }

  contact(who: number): Contact | undefined {
    return this.contacts.find((c) => c.who === who);
  }

  /** How a contact is called. */
  called(who: number): string {
    const c = this.contact(who);
    return c ? c.name || words.inbox.stranger(c.identity.slice(0, 8)) : words.inbox.gone;
  }

  async #end(): Promise<void> {
    const office = this.#office;
    this.#office = undefined;
    this.phase = "unknown";
    [this.received, this.sent, this.contacts, this.neighbours, this.addresses] = [[], [], [], [], []];
    await office?.close();
  }

  /** Ends mail and removes all of it from this browser. */
  async wipe(): Promise<void> {
    await this.#end();
    localStorage.removeItem(place);
    const { removeBook } = await import("./book.ts");
    await removeBook();
    await this.look();
  }
}

/** What the page's own server offers; undefined if it has no peer for browsers. */
export async function offerOf(): Promise<Offer | undefined> {
  try {
    const response = await fetch("/v1/network");
    if (!response.ok) return undefined;
    const told = (await response.json()) as {
      offered: boolean; addresses: string[]; relays: boolean; stamps: { per_byte: number; extra: number; hello: number };
    };
    if (!told.offered) return undefined;
    const { per_byte: perByte, extra, hello } = told.stamps;
    return { addresses: told.addresses, relays: told.relays, price: { perByte, extra, hello } };
  } catch {
    return undefined;
  }
}

export const mail = new Mail();
