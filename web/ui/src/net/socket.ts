/**
 * Streams of blocks over WebSockets. Browsers open only six HTTP/1.1 connections to a server for
 * all tabs together, and every stream by fetch would take one for good; WebSockets have room of
 * their own. Whoever reads the stream sees server-sent events either way.
 */
import type { Ask, Way, Ways } from "./ways.ts";

/** How long a WebSocket may take to say its first word, ms. */
const opening = 3_000;

/** A server whose WebSockets are known. */
export interface SocketWay extends Way {
  readonly ws: string;
}

/** What a stream needs of who opens it. */
export interface Reader {
  ended(): void;
  /** Signs for an account: the token of a WebSocket is for another target than that of a fetch. */
  sign?: ((method: string, target: string) => string | Promise<string>) | undefined;
}

/** Opens a stream at one server, over a WebSocket or, where none can be had, by fetch, which can tell why. */
export async function openStream<W extends SocketWay>(way: W, ways: Ways<W>, ask: Ask, reader: Reader): Promise<Response> {
  if (typeof WebSocket !== "undefined") {
    const response = await overSocket(way, ways.id, ask, reader);
    if (response) {
      ways.mark(way, true, "");
      return response;
    }
    if (ask.signal?.aborted) throw ask.signal.reason;
  }
  const quick = AbortSignal.timeout(opening);
  const response = await race(ways.one(way, ask), quick);
  if (response.status >= 500) throw new Error(`answers ${response.status}`);
  return response;
}

/** Answers undefined when the WebSocket did not open. */
async function overSocket(way: SocketWay, id: string, ask: Ask, reader: Reader): Promise<Response | undefined> {
  const target = ask.target.replace("/v1/events", "/v1/events/ws");
  const account = new URLSearchParams(target.slice(target.indexOf("?"))).has("account");
  const token = account && reader.sign ? await reader.sign("GET", target) : "";
  return new Promise((resolve) => {
    const socket = new WebSocket(`${way.ws}/vs/${id}${target}`);
    const encoder = new TextEncoder();
    let sink: ReadableStreamDefaultController<Uint8Array> | undefined;
    const timer = setTimeout(() => socket.close(), opening);
    const stop = () => socket.close();
    ask.signal?.addEventListener("abort", stop, { once: true });
    const end = () => {
      clearTimeout(timer);
      ask.signal?.removeEventListener("abort", stop);
      reader.ended();
      try {
        sink?.close();
      } catch {
        // The reader has gone already.
      }
      resolve(undefined);
    };
    socket.onclose = end;
    socket.onopen = () => {
      if (token) socket.send(token);
    };
    socket.onmessage = (event) => {
      const data = String(event.data);
      const problem = problemOf(data);
      if (!sink) {
        clearTimeout(timer);
        if (problem) {
          resolve(new Response(data, { status: problem, headers: { "Souk-Server": id, "Content-Type": "application/problem+json" } }));
          return;
        }
        const body = new ReadableStream<Uint8Array>({ start: (c) => void (sink = c), cancel: () => socket.close() });
        resolve(new Response(body, { status: 200, headers: { "Souk-Server": id, "Content-Type": "text/event-stream" } }));
      }
      sink?.enqueue(encoder.encode(`${problem ? "event: end\n" : ""}data: ${data}\n\n`));
    };
  });
}

/** The status of a problem; 0 if it is a message of a block. */
function problemOf(data: string): number {
  if (data.startsWith('{"cursor"')) return 0;
  const value = JSON.parse(data) as { cursor?: string; status?: number };
  return value.cursor === undefined && typeof value.status === "number" ? value.status : 0;
}

function race<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.addEventListener("abort", () => reject(new Error("silent")), { once: true });
    promise.then(resolve, reject);
  });
}
