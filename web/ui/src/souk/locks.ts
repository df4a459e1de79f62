/** The locks of a vault: a chunk of its own. */
import { xchacha20poly1305 } from "@noble/ciphers/chacha.js";
import { randomBytes } from "@noble/hashes/utils.js";
import { concat, encodeUtf8, fromHex, hex } from "./bytes.ts";
import { keyOf } from "./keys.ts";
import { scriptURL } from "../net/trusted.ts";
import { type Stretch, stretchKey } from "./stretch.ts";
import workerURL from "./stretch-worker.ts?worker&url";
import { coreText } from "./text.ts";
import { BadVault, type PassphraseLock, type Vault, WrongPassphrase, checkVault, leastPassphrase } from "./vault.ts";
import { entropyOf, wordsOf } from "./words.ts";

/** About a second of work, and 128 MB of memory, for each passphrase that somebody tries. */
const standard = { log2n: 17, r: 8, p: 1 };

/** What the boxes of a vault are bound to besides their key. */
function binding(address: string, kind: "passphrase" | "passkey"): Uint8Array {
  return encodeUtf8(`souk/vault/v1 ${kind} ${address}`);
}

/** Puts words into a box under a key of 32 bytes. */
export function box(words: string, key: Uint8Array, address: string, kind: "passphrase" | "passkey"): { nonce: string; box: string } {
  const nonce = randomBytes(24);
  const entropy = entropyOf(words);
  // One length for 12 and 24 words: the box does not tell which they are.
  const inside = concat(Uint8Array.of(entropy.length), entropy, new Uint8Array(32 - entropy.length));
  const sealed = xchacha20poly1305(key, nonce, binding(address, kind)).encrypt(inside);
  entropy.fill(0);
  inside.fill(0);
  return { nonce: hex(nonce), box: hex(sealed) };
}

/** The words in a box, or undefined if the key does not fit. */
export function unbox(lock: { nonce: string; box: string }, key: Uint8Array, address: string, kind: "passphrase" | "passkey"): string | undefined {
  let inside: Uint8Array;
  try {
    inside = xchacha20poly1305(key, fromHex(lock.nonce, 24), binding(address, kind)).decrypt(fromHex(lock.box, 49));
  } catch {
    return undefined;
  }
  const size = inside[0] ?? 0;
  if (size !== 16 && size !== 32) throw new BadVault(coreText.vault.broken);
  const words = wordsOf(inside.slice(1, 1 + size));
  inside.fill(0);
  return words;
}

async function stretch(passphrase: string, lock: Pick<PassphraseLock, "log2n" | "r" | "p" | "salt">): Promise<Uint8Array> {
  // The same passphrase may reach the browser composed in two ways; NFKC makes them one.
  const text = encodeUtf8(passphrase.normalize("NFKC"));
  try {
    const work: Stretch = { text, salt: fromHex(lock.salt), log2n: lock.log2n, r: lock.r, p: lock.p };
    return await (typeof Worker === "undefined" ? stretchKey(work) : inWorker(work));
  } finally {
    text.fill(0);
  }
}

/** Off the main thread: it takes a second of work, and the page must not stand still for so long. */
function inWorker(work: Stretch): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(scriptURL(workerURL), { type: "module", name: "stretch" });
    const end = (then: () => void) => {
      worker.terminate();
      then();
    };
    worker.onmessage = ({ data }: MessageEvent<Uint8Array>) => end(() => resolve(data));
    worker.onerror = () => end(() => reject(new BadVault(coreText.vault.memory)));
    worker.postMessage(work);
  });
}

export async function seal(words: string, passphrase: string, cost = standard): Promise<Vault> {
  if ([...passphrase].length < leastPassphrase) throw new BadVault(coreText.vault.short(leastPassphrase));
  const owner = await keyOf(words);
  const address = owner.name;
  owner.wipe();
  const open = { ...cost, salt: hex(randomBytes(16)) };
  const key = await stretch(passphrase, open);
  const lock: PassphraseLock = { kind: "passphrase", ...open, ...box(words, key, address, "passphrase") };
  key.fill(0);
  return { version: 1, address, locks: [lock] };
}

export async function open(vault: Vault, passphrase: string): Promise<string> {
  const { address, locks } = checkVault(vault);
  for (const lock of locks) {
    if (lock.kind !== "passphrase") continue;
    const key = await stretch(passphrase, lock);
    const words = unbox(lock, key, address, "passphrase");
    key.fill(0);
    if (words !== undefined) return words;
  }
  throw new WrongPassphrase();
}
