/** The page as a set of files: kept by a service worker, renewed when its server has a newer one, and hashed so that it can be compared. */
import { sha256 } from "@noble/hashes/sha2.js";
import { scriptURL } from "../net/trusted.ts";
import { encodeUtf8, hex } from "../souk/bytes.ts";

/** What was found about the page's files. */
export interface PageHash {
  /** Hash of page.txt, which lists the hash of every file: one number for the whole page. */
  hash: string;
  files: number;
  /** Files that are not what page.txt says. */
  wrong: string[];
}

/** How often a page that stays open looks for a newer one, ms. */
const beat = 1_800_000;

class Shell {
  /** A newer page is there, and shown after a reload. */
  renewed = $state(false);
  #waiting: ServiceWorker | undefined;

  /** Has the page's files kept. */
  async start(): Promise<void> {
    if (import.meta.env.DEV || !("serviceWorker" in navigator)) return;
    try {
      const registration = await navigator.serviceWorker.register(scriptURL("/sw.js"), { scope: "/", updateViaCache: "none" });
      this.#watch(registration.waiting);
      setInterval(() => void registration.update().catch(() => undefined), beat);
      registration.addEventListener("updatefound", () => {
        const worker = registration.installing;
        worker?.addEventListener("statechange", () => {
          if (worker.state === "installed") this.#watch(worker);
        });
      });
    } catch {
      // A browser that keeps nothing shows the page all the same.
    }
  }

  /** Shows the newer page. */
  renew(): void {
    navigator.serviceWorker.addEventListener("controllerchange", () => location.reload());
    this.#waiting?.postMessage("now");
    setTimeout(() => location.reload(), 1_000);
  }

  #watch(worker: ServiceWorker | null): void {
    if (!worker || !navigator.serviceWorker.controller) return;
    this.#waiting = worker;
    this.renewed = true;
  }
}

/** Hashes the files of this page as the browser has them, and compares them with its list. */
export async function hashPage(): Promise<PageHash> {
  const list = await textOf("/page.txt");
  const lines = list.split("\n").filter((l) => l !== "");
  const wrong: string[] = [];
  for (const line of lines) {
    const [wanted, name] = [line.slice(0, 64), line.slice(66)];
    const response = await fetch(name === "index.html" ? "/" : `/${name}`, { credentials: "omit" });
    const found = response.ok ? hex(sha256(new Uint8Array(await response.arrayBuffer()))) : "";
    if (found !== wanted) wrong.push(name);
  }
  return { hash: hex(sha256(encodeUtf8(list))), files: lines.length, wrong };
}

/** The hash of the page that another server shows, where it lets us look. */
export async function hashOf(url: string): Promise<string> {
  return hex(sha256(encodeUtf8(await textOf(`${url}/page.txt`))));
}

async function textOf(url: string): Promise<string> {
  const response = await fetch(url, { credentials: "omit", cache: "no-store" });
  if (!response.ok) throw new Error(`answers ${response.status}`);
  return response.text();
}

export const shell = new Shell();
