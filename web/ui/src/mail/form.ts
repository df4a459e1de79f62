/** What mail is measured in, and what is wrong with it (docs/spec/24-mail.md). Numbers of rules are those of this page. */

/** Bytes or text are not the one encoding of anything, or not signed by who they say. */
export class BadMail extends Error {
  override readonly name = "BadMail";
}

/** An envelope is not for this key. */
export class Unreadable extends Error {
  override readonly name = "Unreadable";
}

/** Sizes of envelopes in bytes (O-1). */
export const sizes = [1024, 4096, 16384] as const;
/** How many hours an envelope may be kept (O-13). */
export const retention = 60;
/** Into how many topics mail is divided, and first letters. */
export const shards = 16;
export const buckets = 256;
/** How many letters to one reader may be on their way (O-22). */
export const window = 16;

/** The hour of a time in milliseconds since the Unix epoch. */
export function hourOf(ms: number): number {
  return Math.floor(ms / 3_600_000);
}

export function sizeFits(n: number): boolean {
  return sizes.some((s) => s === n);
}
