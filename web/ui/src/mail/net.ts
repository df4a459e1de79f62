/** What mail wants of a network of peers; see peer.ts, which is one. */

/** What becomes of a message that came over a topic. */
export type Verdict = "accept" | "ignore" | "reject";

export interface Net {
  /** Names of those connected now. */
  peers(): string[];
  /** Puts one request to a peer; what it answers has at most so many bytes. */
  ask(peer: string, protocol: string, request: Uint8Array, most: number): Promise<Uint8Array>;
  /** Sends a message to all who subscribe to a topic. */
  publish(topic: string, data: Uint8Array): Promise<void>;
  /** Has each message of a topic judged; one that is accepted is passed on. */
  subscribe(topic: string, judge: (data: Uint8Array) => Verdict): void;
}
