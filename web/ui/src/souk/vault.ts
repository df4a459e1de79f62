/**
 * The words, locked away in this browser: by a passphrase (scrypt, XChaCha20-Poly1305), and
 * besides by a passkey, if its owner wants that. The locks' code is fetched when it is needed.
 */
import { coreText } from "./text.ts";

/** A lock that opens the vault. */
export type Lock = PassphraseLock | PasskeyLock;

export interface PassphraseLock {
  kind: "passphrase";
  log2n: number; // of scrypt: n is 2 to this
  r: number;
  p: number;
  salt: string;
  nonce: string;
  box: string;
}

export interface PasskeyLock {
  kind: "passkey";
  credential: string; // the id of the passkey
  salt: string;
  nonce: string;
  box: string;
}

/** What is kept: the words are in every lock's box. All bytes are hexadecimal digits. */
export interface Vault {
  version: 1;
  address: string; // of the account, shown while it is locked; the boxes are bound to it
  locks: Lock[];
}

export class WrongPassphrase extends Error {
  override readonly name = "WrongPassphrase";
  constructor() {
    super(coreText.vault.wrong);
  }
}

/** The vault cannot be read, or the browser keeps nothing, or the passkey does not do. */
export class BadVault extends Error {
  override readonly name = "BadVault";
}

/** How short a passphrase may be. */
export const leastPassphrase = 8;

/** Locks words under a passphrase. It takes about half a second, by design. */
export async function seal(words: string, passphrase: string): Promise<Vault> {
  return (await import("./locks.ts")).seal(words, passphrase);
}

/** The words, or WrongPassphrase. */
export async function open(vault: Vault, passphrase: string): Promise<string> {
  return (await import("./locks.ts")).open(vault, passphrase);
}

/** Whether this browser may lock by a passkey (WebAuthn with PRF). */
export async function passkeys(): Promise<boolean> {
  return (await import("./passkey.ts")).passkeys();
}

/** The vault with a passkey as an extra lock. Asks the user; the words are those of open. */
export async function addPasskey(vault: Vault, words: string): Promise<Vault> {
  return (await import("./passkey.ts")).addPasskey(vault, words);
}

/** The words, opened by the passkey. */
export async function openByPasskey(vault: Vault): Promise<string> {
  return (await import("./passkey.ts")).openByPasskey(vault);
}

/** Keeps the vault in this browser (IndexedDB), in place of the one before. */
export async function keep(vault: Vault): Promise<void> {
  await stored("readwrite", (s) => s.put(vault, slot));
}

/** The vault that this browser keeps, if any; BadVault if it cannot be read. */
export async function kept(): Promise<Vault | undefined> {
  const value: unknown = await stored("readonly", (s) => s.get(slot));
  return value === undefined ? undefined : checkVault(value);
}

/** Removes it. */
export async function forget(): Promise<void> {
  await stored("readwrite", (s) => s.delete(slot));
}

const slot = "vault";

function stored<T>(mode: IDBTransactionMode, work: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const fail = () => reject(new BadVault(coreText.vault.blocked));
    if (typeof indexedDB === "undefined") return fail();
    const opening = indexedDB.open("souk", 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore("keys");
    opening.onerror = opening.onblocked = fail;
    opening.onsuccess = () => {
      const db = opening.result;
      const transaction = db.transaction("keys", mode);
      const request = work(transaction.objectStore("keys"));
      // Only what the transaction has written is kept: the request alone says too little.
      transaction.oncomplete = () => {
        db.close();
        resolve(request.result);
      };
      transaction.onabort = transaction.onerror = () => {
        db.close();
        fail();
      };
    };
  });
}

/** Reads a vault from a value of unknown form, as from a file or from IndexedDB. */
export function checkVault(value: unknown): Vault {
  const bad = () => new BadVault(coreText.vault.broken);
  if (!isRecord(value) || value["version"] !== 1 || typeof value["address"] !== "string" || !Array.isArray(value["locks"])) throw bad();
  const locks = value["locks"].map((lock: unknown) => {
    const digits = isRecord(lock) && ["salt", "nonce", "box"].every((f) => isDigits(lock[f]));
    if (!digits) throw bad();
    if (lock["kind"] === "passkey" && isDigits(lock["credential"])) return lock as unknown as PasskeyLock;
    // The bounds keep a vault that somebody has changed from taking all memory.
    const cost = isWhole(lock["log2n"], 10, 20) && isWhole(lock["r"], 1, 16) && isWhole(lock["p"], 1, 4);
    if (lock["kind"] === "passphrase" && cost) return lock as unknown as PassphraseLock;
    throw bad();
  });
  if (locks.length === 0) throw bad();
  return { version: 1, address: value["address"], locks };
}

function isRecord(v: unknown): v is Record<string, unknown> {
  return typeof v === "object" && v !== null;
}

function isDigits(v: unknown): boolean {
  return typeof v === "string" && /^([0-9a-f]{2})+$/.test(v);
}

function isWhole(v: unknown, least: number, most: number): boolean {
  return typeof v === "number" && Number.isInteger(v) && v >= least && v <= most;
}
