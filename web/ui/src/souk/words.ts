/** The words of BIP-39, English list: a chunk of its own. */
import { entropyToMnemonic, generateMnemonic, mnemonicToEntropy, mnemonicToSeed, mnemonicToSeedWebcrypto } from "@scure/bip39";
import { wordlist } from "@scure/bip39/wordlists/english.js";
import { BadWords } from "./keys.ts";
import { coreText } from "./text.ts";

const t = coreText.words;
const list = new Set(wordlist);

export function newWords(count: 12 | 24): string {
  return generateMnemonic(wordlist, count === 12 ? 128 : 256);
}

/** Words as a person types them: any case, any space between them. */
export function checkWords(text: string): string {
  const words = text.trim().toLowerCase().split(/\s+/).filter((w) => w !== "");
  if (words.length === 0) throw new BadWords(t.empty);
  const wrong = words.findIndex((w) => !list.has(w));
  if (wrong >= 0) throw new BadWords(t.unknown(wrong + 1, words[wrong] ?? ""));
  if (words.length !== 12 && words.length !== 24) throw new BadWords(t.count(words.length));
  const normal = words.join(" ");
  try {
    mnemonicToEntropy(normal, wordlist).fill(0);
  } catch {
    throw new BadWords(t.checksum);
  }
  return normal;
}

export function suggestWords(start: string): string[] {
  const s = start.trim().toLowerCase();
  return s === "" ? [] : wordlist.filter((w) => w.startsWith(s)).slice(0, 6);
}

/** The 64 bytes that BIP-39 makes of words and a passphrase of printable ASCII. */
export async function seedOf(words: string, passphrase: string): Promise<Uint8Array> {
  if (!/^[ -~]*$/.test(passphrase)) throw new BadWords(t.passphrase);
  const normal = checkWords(words);
  // The browser's own code is faster, but is there only where the page came over a safe connection.
  return "subtle" in crypto ? mnemonicToSeedWebcrypto(normal, passphrase) : mnemonicToSeed(normal, passphrase);
}

/** What the words encode: 16 or 32 bytes. */
export function entropyOf(words: string): Uint8Array {
  return mnemonicToEntropy(checkWords(words), wordlist);
}

export function wordsOf(entropy: Uint8Array): string {
  return entropyToMnemonic(entropy, wordlist);
}
