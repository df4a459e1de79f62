/** What the tabs of this page in one browser tell each other: when the keys are locked, opened, or wiped. */
import { forget } from "../souk/vault.ts";

type Message = { kind: "locked" } | { kind: "out" } | { kind: "ask" } | { kind: "opened"; words: string };

export interface Ears {
  locked(): void;
  out(): void;
  opened(words: string): void;
  /** The words if they are open here; else empty. */
  words(): string;
}

/** Between tabs of one origin words pass in memory only, and only to who holds the same vault. */
export class Tabs {
  readonly #channel: BroadcastChannel | undefined;

  constructor(ears: Ears) {
    if (typeof BroadcastChannel === "undefined" || typeof window === "undefined") return;
    this.#channel = new BroadcastChannel("souk-session");
    this.#channel.onmessage = (event: MessageEvent<Message>) => {
      const message = event.data;
      if (message.kind === "locked") ears.locked();
      else if (message.kind === "out") ears.out();
      else if (message.kind === "opened") ears.opened(message.words);
      else if (ears.words()) this.#send({ kind: "opened", words: ears.words() });
    };
  }

  locked(): void {
    this.#send({ kind: "locked" });
  }
  out(): void {
    this.#send({ kind: "out" });
  }
  ask(): void {
    this.#send({ kind: "ask" });
  }
  opened(words: string): void {
    this.#send({ kind: "opened", words });
  }

  #send(message: Message): void {
    this.#channel?.postMessage(message);
  }
}

/** What tells nothing of the user, and protects the next one: which exchange this is, and its newest verified block (H-138). */
const stays = { item: "souk.exchange", base: "souk-trust" };

/** Wipes all that this origin keeps of the user. The page's own files in the service worker's cache hold nothing of him. */
export async function wipeAll(): Promise<void> {
  const pin = localStorage.getItem(stays.item);
  localStorage.clear();
  if (pin !== null) localStorage.setItem(stays.item, pin);
  sessionStorage.clear();
  await forget().catch(() => undefined);
  const bases = await indexedDB.databases?.().catch(() => []);
  for (const base of bases ?? []) if (base.name && base.name !== stays.base) indexedDB.deleteDatabase(base.name);
}
