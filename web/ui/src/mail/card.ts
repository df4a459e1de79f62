/** Mail cards (O-20): what somebody gives to those who may write to him. */
import { Reader, Writer, compare } from "../souk/bytes.ts";
import { BadMail, shards as allShards } from "./form.ts";
import { checkKey, tagged, verify, type Owner } from "./keys.ts";

export interface Card {
  identity: Uint8Array;
  key: Uint8Array;
  /** Which his mail may take, ascending. */
  shards: number[];
  /** Where first letters to him go. */
  bucket: number;
  /** Each is for one first letter, which then goes to no bucket. */
  tags: Uint8Array[];
  made: number; // ms
  until: number; // hour: nobody writes to it from then on
  signature: Uint8Array;
}

const tag = "souk/mail/card/v1";
const prefix = "soukmail1:";
const maxShards = 4;
export const maxTags = 16;
const maxText = 4096;

/** Signs a card of the owner's. */
export async function makeCard(owner: Owner, c: Pick<Card, "shards" | "bucket" | "tags" | "made" | "until">): Promise<Card> {
  const card = { ...c, tags: c.tags.toSorted(compare), identity: owner.identity.publicKey, key: owner.key.publicKey, signature: new Uint8Array(64) };
  return { ...card, signature: await owner.identity.sign(tagged(tag, body(card))) };
}

function body(c: Card): Uint8Array {
  const w = new Writer().u8(1).raw(c.identity, 32).raw(c.key, 32).bytes8(Uint8Array.from(c.shards), maxShards).u8(c.bucket).u8(c.tags.length);
  for (const t of c.tags) w.raw(t, 16);
  return w.u64(BigInt(c.made)).u32(c.until).done();
}

export function encodeCard(c: Card): Uint8Array {
  return new Writer().raw(body(c)).raw(c.signature, 64).done();
}

/** Reads a card that its identity has signed, or throws BadMail. Whether it is still good is for the caller to ask. */
export function readCard(bytes: Uint8Array): Card {
  let card: Card;
  try {
    card = parse(bytes);
  } catch {
    throw new BadMail("this is not a mail card");
  }
  checkKey(card.key);
  if (!verify(card.identity, tag, bytes.subarray(0, bytes.length - 64), card.signature)) throw new BadMail("the card's signature is wrong");
  return card;
}

function parse(bytes: Uint8Array): Card {
  const r = new Reader(bytes);
  if (r.u8() !== 1) throw new BadMail("the card is of another version");
  const identity = r.take(32);
  const key = r.take(32);
  const shards = [...r.bytes8(maxShards)];
  if (shards.length === 0 || shards.some((s, i) => s >= allShards || s <= (shards[i - 1] ?? -1))) throw new BadMail("shards");
  const bucket = r.u8();
  const count = r.u8();
  if (count > maxTags) throw new BadMail("tags");
  const tags = Array.from({ length: count }, () => r.take(16));
  if (tags.some((t, i) => i > 0 && compare(tags[i - 1] ?? t, t) >= 0)) throw new BadMail("tags");
  const made = Number(r.u64());
  const until = r.u32();
  const signature = r.take(64);
  r.end();
  return { identity, key, shards, bucket, tags, made, until, signature };
}

/** The card as one line of text, to be copied. */
export function cardText(c: Card): string {
  const binary = Array.from(encodeCard(c), (b) => String.fromCharCode(b)).join("");
  return prefix + btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

/** Reads a card's text. Spaces and line ends do no harm. */
export function readCardText(text: string): Card {
  if (text.length > maxText) throw new BadMail("that is too long for a mail card");
  const line = text.replace(/\s+/g, "");
  if (!line.startsWith(prefix) || !/^[A-Za-z0-9_-]*$/.test(line.slice(prefix.length))) throw new BadMail(`a mail card begins with ${prefix}`);
  let binary: string;
  try {
    binary = atob(line.slice(prefix.length).replaceAll("-", "+").replaceAll("_", "/"));
  } catch {
    throw new BadMail("this is not a mail card");
  }
  const card = readCard(Uint8Array.from(binary, (c) => c.charCodeAt(0)));
  if (cardText(card) !== line) throw new BadMail("this is not the one text of a mail card");
  return card;
}
