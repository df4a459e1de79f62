/** The newest verified header of each virtual server, kept in this browser: what was seen once is never unseen (C-67). */

const name = "souk-trust";
const store = "headers";

interface Kept {
  height: number;
  raw: Uint8Array;
}

/** What is kept of a virtual server; undefined: nothing, or the browser keeps nothing. */
export async function readTrust(id: string): Promise<Uint8Array | undefined> {
  try {
    const kept = await run<Kept | undefined>("readonly", (s) => s.get(id));
    return kept?.raw instanceof Uint8Array ? kept.raw : undefined;
  } catch {
    return undefined;
  }
}

/** Keeps a header, unless another tab has kept a newer one. */
export async function writeTrust(id: string, raw: Uint8Array, height: number): Promise<void> {
  try {
    await run("readwrite", (s) => {
      const known = s.get(id) as IDBRequest<Kept | undefined>;
      known.onsuccess = () => {
        const before = known.result?.height;
        if (typeof before !== "number" || before < height) s.put({ height, raw } satisfies Kept, id);
      };
      return known;
    });
  } catch {
    // Private windows keep nothing: the next visit begins with the founders again.
  }
}

function run<T>(mode: IDBTransactionMode, work: (store: IDBObjectStore) => IDBRequest): Promise<T> {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open(name, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(store);
    opening.onerror = opening.onblocked = () => reject(new Error("the browser keeps nothing"));
    opening.onsuccess = () => {
      const db = opening.result;
      const transaction = db.transaction(store, mode);
      const request = work(transaction.objectStore(store));
      transaction.oncomplete = () => {
        db.close();
        resolve(request.result as T);
      };
      transaction.onabort = transaction.onerror = () => {
        db.close();
        reject(new Error("the browser keeps nothing"));
      };
    };
  });
}
