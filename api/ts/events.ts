/** Streams of what blocks do, over server-sent events (docs/spec/10-http.md, H-110 to H-117). */
import type { components } from "./schema.js";
import type { Options } from "./index.js";

type BlockEvents = components["schemas"]["BlockEvents"];
type Problem = components["schemas"]["Error"];

/** What a stream is to tell. */
export interface EventsRequest {
  /** Numbers or names of markets, or "all". */
  markets?: string[] | "all";
  /** Address of an account; the client needs sign for it. */
  account?: string;
  /** Cursor behind which to begin, or the height of what was read; absent: now. */
  after?: string;
  /** Yield also messages that only have a cursor. */
  alive?: boolean;
  /** Ends the stream. */
  signal?: AbortSignal;
}

/** The servers refuse what was asked for. */
export class Refused extends Error {
  constructor(readonly problem: Problem) {
    super(problem.detail);
    this.name = "Refused";
  }
}

/** Something was missed: the cursor is older than what any server keeps. Read again, and go on from the height of that. */
export class Gone extends Refused {
  constructor(problem: Problem, readonly cursor: string) {
    super(problem);
    this.name = "Gone";
  }
}

/** How long a server may take to begin, and how long it may be silent then, ms. */
const opening = 5_000;
const silence = 40_000;

/** Yields what blocks do, and goes from server to server when one fails. */
export async function* events(options: Options, request: EventsRequest): AsyncGenerator<BlockEvents, void, undefined> {
  let cursor = request.after;
  let pause = 0;
  for (let turn = 0, refusals: Refused[] = [], failed = 0; ; turn++) {
    let moved = false;
    try {
      const server = options.servers[turn % options.servers.length] as string;
      for await (const message of connection(options, request, server, cursor)) {
        const told = message.markets !== undefined || message.account !== undefined;
        if (cursor !== undefined && (message.height < Number(cursor) || (told && message.height === Number(cursor)))) {
          throw new Error(`the server tells of block ${message.height} after block ${cursor}`);
        }
        moved ||= told;
        cursor = message.cursor;
        if (told || request.alive) yield message;
      }
    } catch (error) {
      if (request.signal?.aborted) return;
      if (error instanceof Refused) refusals.push(error);
    }
    if (moved) {
      [pause, failed, refusals] = [0, 0, []];
      continue;
    }
    if (++failed < options.servers.length) continue;
    // Every server was asked. What those say that answer holds.
    const refusal = refusals.find((r) => r instanceof Gone) ?? refusals[0];
    if (refusal) throw refusal;
    failed = 0;
    await sleep(pause, request.signal);
    if (request.signal?.aborted) return;
    pause = Math.min(Math.max(2 * pause, 50), 5_000);
  }
}

/** The messages of one connection. */
async function* connection(options: Options, request: EventsRequest, server: string, cursor: string | undefined): AsyncGenerator<BlockEvents> {
  const query = new URLSearchParams();
  if (request.markets !== undefined) query.set("markets", request.markets === "all" ? "all" : request.markets.join(","));
  if (request.account !== undefined) query.set("account", request.account);
  if (cursor !== undefined) query.set("after", cursor);
  const target = `/v1/events?${query}`;
  const headers = new Headers({ Accept: "text/event-stream" });
  if (request.account !== undefined && options.sign) headers.set("Souk-Read", await options.sign("GET", target));
  const watch = new Watch(request.signal);
  try {
    watch.expect(opening);
    const response = await (options.fetch ?? fetch)(`${server}/vs/${options.id}${target}`, { headers, signal: watch.signal, redirect: "error" });
    if (response.headers.get("Souk-Server") !== options.id) throw new Error(`${server} does not serve that virtual server`);
    if (response.status !== 200 || response.body === null) {
      const problem = (await response.json()) as Problem;
      if (problem.code === "not-kept") throw new Gone(problem, cursor ?? "");
      if (response.status < 500 && response.status !== 429) throw new Refused(problem);
      throw new Error(problem.detail);
    }
    for await (const event of parse(response.body, watch)) {
      if (event.type === "end") throw new Error((JSON.parse(event.data) as Problem).detail);
      yield JSON.parse(event.data) as BlockEvents;
    }
  } finally {
    watch.end();
  }
}

/** Reads server-sent events. */
async function* parse(body: ReadableStream<Uint8Array>, watch: Watch): AsyncGenerator<{ type: string; data: string }> {
  const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader();
  let text = "";
  try {
    for (;;) {
      watch.expect(silence);
      const { value, done } = await reader.read();
      watch.expect(0); // the program may take as long as it likes
      if (done) return;
      text += value;
      for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
        const event = { type: "message", data: "" };
        for (const line of text.slice(0, end).split("\n")) {
          const colon = line.indexOf(": ");
          if (line.slice(0, colon) === "event") event.type = line.slice(colon + 2);
          if (line.slice(0, colon) === "data") event.data += line.slice(colon + 2);
        }
        text = text.slice(end + 2);
        yield event;
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

/** Ends a connection that is silent for too long, or when the caller's signal says so. */
class Watch {
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal | undefined;
  readonly #abort = () => this.#controller.abort();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(outer?: AbortSignal) {
    this.#outer = outer;
    if (outer?.aborted) this.#abort();
    outer?.addEventListener("abort", this.#abort);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Something must come within so many ms; 0: no matter when. */
  expect(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = ms > 0 ? setTimeout(this.#abort, ms) : undefined;
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#outer?.removeEventListener("abort", this.#abort);
    this.#abort();
  }
}

function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    }, { once: true });
  });
}
