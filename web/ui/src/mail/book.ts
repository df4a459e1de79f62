/**
 * What a mailbox keeps, in this browser alone (IndexedDB): keys, contacts, letters. It is not
 * encrypted: whoever can read the browser's profile can read it. Signing out removes it with
 * everything else of the user.
 */
import { coreMail } from "./text.ts";

/** Keeps records by name. */
export interface Book {
  /** All records whose names begin so, by name. */
  all<T>(start: string): Promise<Map<string, T>>;
  /** Writes records, and removes those that are undefined: all of it or nothing. */
  write(records: Record<string, unknown>): Promise<void>;
}

/** The browser keeps nothing, or not any more. */
export class BookClosed extends Error {
  override readonly name = "BookClosed";
}

const base = "souk-mail";
const store = "records";

/** The book of this browser. */
export const browserBook: Book = {
  async all<T>(start: string): Promise<Map<string, T>> {
    const range = IDBKeyRange.bound(start, `${start}￿`);
    const found = new Map<string, T>();
    await work("readonly", (s) => {
      const asked = s.openCursor(range);
      asked.onsuccess = () => {
        const cursor = asked.result;
        if (!cursor) return;
        found.set(String(cursor.key), cursor.value as T);
        cursor.continue();
      };
    });
    return found;
  },
  write: (records) =>
    work("readwrite", (s) => {
      for (const [name, value] of Object.entries(records)) {
        if (value === undefined) s.delete(name);
        else s.put(value, name);
      }
    }),
};

function work(mode: IDBTransactionMode, run: (store: IDBObjectStore) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = () => reject(new BookClosed(coreMail.blocked));
    if (typeof indexedDB === "undefined") return fail();
    const opening = indexedDB.open(base, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(store);
    opening.onerror = opening.onblocked = fail;
    opening.onsuccess = () => {
      // It is closed each time, so that signing out can remove it.
      const db = opening.result;
      const transaction = db.transaction(store, mode);
      run(transaction.objectStore(store));
      transaction.oncomplete = () => {
        db.close();
        resolve();
      };
      transaction.onabort = transaction.onerror = () => {
        db.close();
        fail();
      };
    };
  });
}

/** Removes the book of this browser. */
export function removeBook(): Promise<void> {
  return new Promise((resolve, reject) => {
    const asked = indexedDB.deleteDatabase(base);
    asked.onsuccess = () => resolve();
    asked.onerror = asked.onblocked = () => reject(new BookClosed(coreMail.blocked));
  });
}

/** A book in memory, for tests. */
export function memoryBook(): Book {
  const records = new Map<string, unknown>();
  return {
    all: async <T>(start: string) => new Map([...records].filter(([name]) => name.startsWith(start)) as [string, T][]),
    write: async (changes) => {
      for (const [name, value] of Object.entries(changes)) {
        if (value === undefined) records.delete(name);
        else records.set(name, structuredClone(value));
      }
    },
  };
}
