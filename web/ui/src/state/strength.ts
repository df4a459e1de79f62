/** How long a passphrase holds against somebody who has copied this browser's files. */

export type Strength = "short" | "weak" | "fair" | "good" | "strong";

/** Guesses a second that a well equipped thief makes against scrypt as the vault uses it. */
const guesses = 20_000;
/** What people take first. Whatever holds one of them counts for little more than the rest of it. */
const common = [
  "password", "passwort", "passphrase", "qwerty", "qwertz", "azerty", "letmein", "welcome", "iloveyou", "monkey", "dragon", "football",
  "master", "sunshine", "princess", "bitcoin", "satoshi", "crypto", "exchange", "secret", "admin", "login", "changeme", "souk",
];
const rows = ["abcdefghijklmnopqrstuvwxyz", "01234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm"];

/** Bits that a guesser who knows how people choose needs; rather too few than too many. */
export function bitsOf(passphrase: string): number {
  let text = passphrase.toLowerCase();
  let bits = 0;
  for (const word of common) {
    if (!text.includes(word)) continue;
    text = text.replaceAll(word, "");
    bits += 5;
  }
  const words = text.split(/[\s\-_.]+/).filter((w) => w.length >= 3);
  // Several words: a guesser takes them out of a list. Who makes them up by himself has fewer than the list.
  if (words.length >= 3 && words.every((w) => /^\p{L}+$/u.test(w))) return bits + new Set(words).size * 11;
  for (const [run] of text.matchAll(/\p{L}+|\p{N}+|[^\p{L}\p{N}]+/gu)) bits += runBits(run);
  return bits + capitals(passphrase);
}

/** The most that a word, a name or a date is worth, bits: it stands in a list, however long it is. */
const listed = { word: 14, number: 8 };

/** Letters, digits or signs that follow each other: what people put together is a word and a year and a sign. */
function runBits(run: string): number {
  const fresh = spread(run);
  if (/\p{L}/u.test(run)) return Math.min(fresh * 4.7, listed.word) + Math.max(0, fresh - 10) * 3;
  if (/\p{N}/u.test(run)) return Math.min(fresh * 3.3, listed.number) + Math.max(0, fresh - 4) * 2;
  return Math.min(fresh, 6) * 3;
}

/** A capital at the beginning is no secret; others are worth a bit each. */
function capitals(passphrase: string): number {
  const inside = passphrase.slice(1).match(/\p{Lu}/gu)?.length ?? 0;
  return Math.min(inside, 8) + (/^\p{Lu}/u.test(passphrase) ? 0.5 : 0);
}

/** How many letters count: those that go on in a row, or repeat the one before, hardly do. */
function spread(text: string): number {
  let count = 0;
  const letters = [...text];
  letters.forEach((c, i) => {
    const before = letters[i - 1];
    const rising = before !== undefined && rows.some((row) => row.includes(before + c) || row.includes(c + before));
    count += before === c || rising ? 0.25 : 1;
  });
  return Math.min(count, new Set(letters).size * 1.6);
}

/** How long guessing takes on average, seconds. */
export function secondsOf(bits: number): number {
  return 2 ** Math.max(bits - 1, 0) / guesses;
}

const day = 86_400;

/** What that means in a word. */
export function strengthOf(passphrase: string, least: number): Strength {
  if ([...passphrase].length < least) return "short";
  const seconds = secondsOf(bitsOf(passphrase));
  if (seconds < 30 * day) return "weak";
  if (seconds < 50 * 365 * day) return "fair";
  return seconds < 1e6 * 365 * day ? "good" : "strong";
}

/** About how long that is, as a unit and a number for the text. */
export function spanOf(seconds: number): { unit: "minutes" | "hours" | "days" | "years" | "ages"; count: number } {
  if (seconds < 3_600) return { unit: "minutes", count: Math.max(1, Math.round(seconds / 60)) };
  if (seconds < 2 * day) return { unit: "hours", count: Math.round(seconds / 3_600) };
  if (seconds < 730 * day) return { unit: "days", count: Math.round(seconds / day) };
  const years = seconds / (365 * day);
  if (years > 1e6) return { unit: "ages", count: 0 };
  return { unit: "years", count: years < 100 ? Math.round(years) : Number(years.toPrecision(1)) };
}
