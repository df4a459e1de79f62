/** Stamps are looked for by workers, as many as this machine has to spare. */
import { scriptURL } from "../net/trusted.ts";
import address from "./stamp-worker.ts?worker&url";
import type { Search } from "./stamp-worker.ts";

const mostWorkers = 4;

/** Finds a stamp for an envelope's id. It may take a while. */
export function findStamp(id: Uint8Array, target: bigint, signal: AbortSignal): Promise<bigint> {
  const step = Math.max(1, Math.min(mostWorkers, (navigator.hardwareConcurrency || 2) - 1));
  const workers = Array.from({ length: step }, () => new Worker(scriptURL(address), { type: "module", name: "stamp" }));
  const found = new Promise<bigint>((resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
    if (signal.aborted) reject(signal.reason as Error);
    workers.forEach((worker, from) => {
      worker.onmessage = (event: MessageEvent<bigint>) => resolve(event.data);
      worker.onerror = () => reject(new Error("the worker for stamps failed"));
      worker.postMessage({ id, target, from, step } satisfies Search);
    });
  });
  return found.finally(() => {
    for (const worker of workers) worker.terminate();
  });
}
