/**
 * The service worker: it keeps the page's own files, so that the page can be loaded again while
 * its server is down. The page then asks other members. Answers of the API are never kept.
 */

/** All files of this build and a name for it: written in when the page is built. */
declare const __SHELL__: string[];
declare const __VERSION__: string;

/** What of a service worker's world is used here; TypeScript has no room for two worlds. */
interface Waiting extends Event {
  waitUntil(work: Promise<unknown>): void;
}
interface Fetching extends Waiting {
  readonly request: Request;
  respondWith(response: Promise<Response>): void;
}
interface World {
  readonly location: Location;
  readonly clients: { claim(): Promise<void> };
  skipWaiting(): Promise<void>;
  addEventListener(type: "install" | "activate", hear: (event: Waiting) => void): void;
  addEventListener(type: "fetch", hear: (event: Fetching) => void): void;
  addEventListener(type: "message", hear: (event: MessageEvent) => void): void;
}

const world = self as unknown as World;
const prefix = "souk-page-";
const cacheName = prefix + __VERSION__;
/** How long the server may take before the kept page is shown, ms. */
const patience = 1_500;

world.addEventListener("install", (event) => {
  event.waitUntil(caches.open(cacheName).then((cache) => cache.addAll(["/", ...__SHELL__])));
});

world.addEventListener("activate", (event) => {
  event.waitUntil(clean().then(() => world.clients.claim()));
});

// The page asks for it when its user wants the newer page.
world.addEventListener("message", (event) => {
  if (event.data === "now") void world.skipWaiting();
});

world.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== world.location.origin) return;
  if (request.mode === "navigate") {
    if (url.pathname === "/") event.respondWith(newest(request, "/"));
  } else if (url.pathname.startsWith("/assets/") && !url.pathname.startsWith("/assets/worker-")) {
    event.respondWith(kept(request));
  } else if (url.pathname.startsWith("/assets/") || __SHELL__.includes(url.pathname)) {
    // Workers come with a policy of their own, which names the members of now.
    event.respondWith(newest(request, url.pathname));
  }
});

async function clean(): Promise<void> {
  for (const name of await caches.keys()) if (name.startsWith(prefix) && name !== cacheName) await caches.delete(name);
}

/** A file whose name says what is in it: what is kept is right. */
async function kept(request: Request): Promise<Response> {
  const cache = await caches.open(cacheName);
  const found = await cache.match(request.url);
  if (found) return found;
  const response = await fetch(request);
  if (response.ok) await cache.put(request.url, response.clone());
  return response;
}

/** A file of a lasting name: the server's if it answers soon, else what is kept. */
async function newest(request: Request, place: string): Promise<Response> {
  const cache = await caches.open(cacheName);
  try {
    const response = await fetch(request, { signal: AbortSignal.timeout(patience) });
    if (response.ok) {
      await cache.put(place, response.clone());
      return response;
    }
    return (await cache.match(place)) ?? response;
  } catch {
    return (await cache.match(place)) ?? Response.error();
  }
}
