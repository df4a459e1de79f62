/** Records of a mailbox, as its book keeps them. */
import { hex } from "../souk/bytes.ts";
import type { Outgoing } from "./pair.ts";

/** What of a mailbox is only once. */
export interface OwnRecord {
  shards: number[];
  bucket: number;
  /** Shards that are nobody's here, and listened to all the same. */
  cover: number[];
  /** Reply tags that were given out and not used. */
  tags: Uint8Array[];
  last: number;
}

/** Somebody with whom tags are shared. */
export interface Contact {
  who: number;
  /** The owner's for him; empty for a stranger. */
  name: string;
  card: Uint8Array;
  identity: string;
  out: Outgoing;
  /** Above all numbers that have arrived. */
  next: number;
  /** Something has come from him: letters go under his tags. */
  heard: boolean;
  latest: number;
  usedTags: number;
  blocked: boolean;
}

/** A letter that came. */
export interface Received {
  id: string;
  who: number;
  /** The writer's identity. */
  from: string;
  sent: number; // ms, as the writer says
  at: number; // ms
  subject: string;
  body: string;
  seen: boolean;
  /** It was deleted, and may come again. */
  gone?: true;
}

export type SentState = "waiting" | "away" | "arrived" | "givenUp";

/** A letter or receipt that is sent, or was. */
export interface Sent {
  id: string;
  kind: number;
  to: number;
  subject: string;
  body: string;
  at: number; // ms, when it was written
  state: SentState;
  delivered: number; // ms, when the receipt came
  number?: number;
  /** How many envelopes were made of it. */
  closed: number;
  envelope?: Uint8Array;
  expiry: number;
  tries: number;
  /** When it is to be looked at again, ms. */
  next: number;
}

export const names = {
  own: "own",
  contact: (c: Pick<Contact, "who">) => `contact/${c.who}`,
  received: (r: Pick<Received, "id">) => `in/${r.id}`,
  sent: (s: Pick<Sent, "kind" | "to" | "id">) => `out/${s.kind}/${s.to}/${s.id}`,
};

/** A new id of a letter. */
export function newId(): string {
  return hex(crypto.getRandomValues(new Uint8Array(16)));
}
