/** The newest verified header of each virtual server, kept in this browser: what was seen once is never unseen (C-67). */

const name = "souk-trust";
const store = "headers";

/** What is kept of a virtual server; undefined: nothing, or the browser keeps nothing. */
export function readTrust(id: string): Promise<Uint8Array | undefined> {
  return run<Uint8Array | undefined>("readonly", (s) => s.get(id)).catch(() => undefined);
}

export function writeTrust(id: string, raw: Uint8Array): Promise<void> {
  return run("readwrite", (s) => s.put(raw, id)).then(() => undefined, () => undefined);
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
