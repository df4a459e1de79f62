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

/** Wipes all that this origin keeps of the user. The page's own files in the service worker's cache hold nothing of him. */
export async function wipeAll(): Promise<void> {
  localStorage.clear();
  sessionStorage.clear();
  await forget().catch(() => undefined);
  const bases = await indexedDB.databases?.().catch(() => []);
  for (const base of bases ?? []) if (base.name) indexedDB.deleteDatabase(base.name);
}
