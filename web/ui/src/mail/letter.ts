/** Letters: what is inside of an envelope, for its reader alone (O-31). */
import { Reader, Writer } from "../souk/bytes.ts";
import { type Card, encodeCard, readCard } from "./card.ts";
import { BadMail, sizes } from "./form.ts";

export const written = 1;
export const receipt = 2;

export interface Letter {
  kind: typeof written | typeof receipt;
  /** Of a receipt: the letter it is for. */
  id: Uint8Array;
  number: number;
  sent: number; // ms, as the writer says
  card?: Card;
  subject: string;
  body: Uint8Array;
}

export const maxSubject = 200;
/** Bytes of a letter's words that fit, whatever its subject and card. */
export const mostBody = 15_700;

export function encodeLetter(l: Letter): Uint8Array {
  if (l.body.length > sizes[2]) throw new BadMail("the letter is too long");
  const card = l.card ? encodeCard(l.card) : new Uint8Array();
  try {
    return new Writer()
      .u8(l.kind).raw(l.id, 16).u64(BigInt(l.number)).u64(BigInt(l.sent)).u16(card.length).raw(card).text8(l.subject, maxSubject).raw(l.body)
      .done();
  } catch {
    throw new BadMail("the subject is too long");
  }
}

/** Reads the one encoding of a letter. A card in it is one that its identity has signed, whose ever it is. */
export function readLetter(bytes: Uint8Array): Letter {
  try {
    const r = new Reader(bytes);
    const kind = r.u8();
    const [id, number, sent] = [r.take(16), r.u64(), r.u64()];
    const card = r.take(r.u16());
    const subject = r.text8(maxSubject);
    const body = r.rest();
    const bare = card.length === 0 && subject === "" && body.length === 0;
    if ((kind !== written && kind !== receipt) || (kind === receipt && !bare) || number > BigInt(Number.MAX_SAFE_INTEGER)) throw new BadMail("the letter has another form");
    return { kind, id, number: Number(number), sent: Number(sent), subject, body, ...(card.length > 0 ? { card: readCard(card) } : {}) };
  } catch (error) {
    throw error instanceof BadMail ? error : new BadMail("the letter has another form");
  }
}
