/**
 * Which of a federation's servers a request goes to, and when the next one is asked
 * (docs/spec/10-http.md, H-80). No DOM and no framework in here.
 */

/** A server as this page sees it. */
export interface Way {
  /** Base URL, without a slash at its end. */
  readonly url: string;
  /** It answered last time. */
  up: boolean;
  /** What was wrong with its last answer; empty: nothing. */
  problem: string;
}

export interface WaysOptions<W extends Way> {
  /** Makes a server known by its base URL. */
  make: (url: string) => W;
  /** The virtual server's id: no other one can answer in its place. */
  id: string;
  fetch?: typeof fetch;
  /** How long a server may be silent before the next one is asked too, ms. */
  patience?: number;
  /** Told whenever a server answered or failed. */
  changed?: (way: W) => void;
}

/** A request that any server may answer. */
export interface Ask {
  method: string;
  /** Path from /v1 on, and the query. */
  target: string;
  headers?: HeadersInit;
  body?: BodyInit | null;
  /** The answer is a stream: its end is the caller's business. All others are read whole, or the next server is asked. */
  stream?: boolean;
  /** Looks before a server is asked beside silent ones; answers further headers. */
  before?: (way: Way, silent: Way[], signal: AbortSignal) => Promise<HeadersInit>;
  signal?: AbortSignal | null;
  /** Only one server at a time, and each for so many ms. Else the next one is asked beside a silent one. */
  alone?: number;
  /** The next server may do better, though this is a refusal. */
  next?: (response: Response) => boolean;
}

/** No server answered. */
export class Unreachable extends Error {
  constructor(readonly reasons: string[]) {
    super(reasons.join("\n"));
    this.name = "Unreachable";
  }
}

/** A server answers for another virtual server than the one that this page keeps to. */
export class OtherServer extends Error {
  constructor(readonly url: string, readonly id: string) {
    super(`${url} does not serve this exchange`);
    this.name = "OtherServer";
  }
}

export class Ways<W extends Way = Way> {
  /** In the order in which they were told of. */
  readonly list: W[] = [];
  /** Goes first: the one that answered last. */
  preferred: W | undefined;
  readonly #options: WaysOptions<W>;
  /** How long commands took of late, ms. */
  #decisions = 0;

  constructor(options: WaysOptions<W>) {
    this.#options = options;
  }

  get id(): string {
    return this.#options.id;
  }

  /** Makes a server known. */
  add(url: string): W {
    const base = url.replace(/\/+$/, "");
    const known = this.list.find((w) => w.url === base);
    if (known) return known;
    const way = this.#options.make(base);
    this.list.push(way);
    return way;
  }

  /** Servers in the order in which they are asked: the preferred one, those that answer, the others. */
  order(): W[] {
    const rank = (w: W) => (w === this.preferred && w.up ? 0 : w.up ? 1 : 2);
    return this.list.map((w, i) => ({ w, i })).sort((a, b) => rank(a.w) - rank(b.w) || a.i - b.i).map((x) => x.w);
  }

  /** How long a server may be silent, ms: a decision takes a block. */
  get patience(): number {
    return this.#options.patience ?? Math.min(Math.max(800, 3 * this.#decisions), 5_000);
  }

  /** Tells how long a decision took, so that patience fits the federation. */
  decided(ms: number): void {
    this.#decisions = this.#decisions === 0 ? ms : (3 * this.#decisions + ms) / 4;
  }

  /** Asks one server after the other until one gives an answer that counts; a refusal counts when nobody answers better. */
  async send(ask: Ask): Promise<Answer<W>> {
    const race = new Race<W>();
    const reasons: string[] = [];
    let refusal: Answer<W> | undefined;
    const queue = this.order();
    try {
      while (queue.length > 0 || race.running > 0) {
        const way = queue.shift();
        if (way) race.begin(way, this.#attempt(way, ask, race));
        const outcome = await race.next(queue.length > 0 ? (ask.alone ?? this.patience) : undefined);
        if (ask.signal?.aborted) throw ask.signal.reason;
        if (outcome === "silent") {
          if (ask.alone !== undefined) for (const w of race.giveUp()) this.#failed(w, "silent", reasons);
        } else if ("error" in outcome) {
          this.#failed(outcome.way, outcome.error, reasons);
        } else if (good(outcome.response) && !ask.next?.(outcome.response)) {
          this.preferred = outcome.way;
          return (refusal = outcome);
        } else {
          refusal ??= outcome;
        }
      }
    } finally {
      race.end(refusal?.way);
    }
    if (refusal) return refusal;
    throw new Unreachable(reasons);
  }

  #failed(way: W, why: string, reasons: string[]): void {
    reasons.push(`${way.url}: ${why}`);
    this.mark(way, false, why);
  }

  async #attempt(way: W, ask: Ask, race: Race<W>): Promise<Outcome<W>> {
    const signal = race.signal(way, ask.signal);
    try {
      const silent = race.others(way);
      const more = silent.length > 0 && ask.before ? await ask.before(way, silent, signal) : {};
      const headers = new Headers(ask.headers);
      new Headers(more).forEach((value, name) => headers.set(name, value));
      return { way, response: await this.one(way, { ...ask, headers }, signal) };
    } catch (error) {
      return { way, error: error instanceof OtherServer ? error.message : "out of reach" };
    }
  }

  /** Asks one server, and looks whether it is of this virtual server. */
  async one(way: W, ask: Ask, signal: AbortSignal | null = ask.signal ?? null): Promise<Response> {
    const response = await (this.#options.fetch ?? fetch)(`${way.url}/vs/${this.#options.id}${ask.target}`, {
      method: ask.method,
      headers: ask.headers ?? {},
      body: ask.body ?? null,
      signal,
      credentials: "omit",
      cache: "no-store",
      redirect: "error",
    });
    const id = response.headers.get("Souk-Server");
    if (id !== this.#options.id) throw new OtherServer(way.url, id ?? "");
    const whole = ask.stream ? response : await read(response);
    this.mark(way, true, "");
    return whole;
  }

  /** Notes whether a server answers. */
  mark(way: W, up: boolean, problem: string): void {
    if (way.up === up && way.problem === problem) return;
    way.up = up;
    way.problem = problem;
    this.#options.changed?.(way);
  }
}

/** A server's answer. */
export interface Answer<W extends Way = Way> {
  way: W;
  response: Response;
}

type Outcome<W extends Way> = Answer<W> | { way: W; error: string };

/** Whether an answer counts at once. A refusal does not: who gives it may lie, or be the only one that does not know. */
function good(response: Response): boolean {
  return response.status < 400;
}

/** Reads an answer to its end, so that a server that dies in the middle has not answered. */
async function read(response: Response): Promise<Response> {
  const body = await response.arrayBuffer();
  const { status, statusText, headers } = response;
  return new Response(status === 204 || status === 304 ? null : body, { status, statusText, headers });
}

/** Attempts at several servers that run side by side. */
class Race<W extends Way> {
  readonly #attempts = new Map<W, Promise<Outcome<W>>>();
  readonly #cuts = new Map<W, AbortController>();

  get running(): number {
    return this.#attempts.size;
  }

  begin(way: W, attempt: Promise<Outcome<W>>): void {
    this.#attempts.set(way, attempt);
  }

  /** Servers that were asked before and have not answered. */
  others(way: W): W[] {
    return [...this.#attempts.keys()].filter((w) => w !== way);
  }

  /** What ends an attempt: the race, or the caller. */
  signal(way: W, outer: AbortSignal | null | undefined): AbortSignal {
    const cut = new AbortController();
    this.#cuts.set(way, cut);
    return outer ? AbortSignal.any([cut.signal, outer]) : cut.signal;
  }

  /** What ends first; "silent" when nothing did within so many ms. */
  async next(ms: number | undefined): Promise<Outcome<W> | "silent"> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const attempts: Promise<Outcome<W> | "silent">[] = [...this.#attempts.values()];
    if (ms !== undefined) {
      attempts.push(new Promise((resolve) => {
        timer = setTimeout(() => resolve("silent"), ms);
      }));
    }
    try {
      const outcome = await Promise.race(attempts);
      if (outcome !== "silent") this.#attempts.delete(outcome.way);
      return outcome;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends all attempts and answers whose they were. */
  giveUp(): W[] {
    const ways = [...this.#attempts.keys()];
    for (const way of ways) this.#cuts.get(way)?.abort();
    this.#attempts.clear();
    return ways;
  }

  /** Ends all attempts but that of the server that answered, whose stream may go on. */
  end(but: W | undefined): void {
    for (const [way, cut] of this.#cuts) if (way !== but) cut.abort();
  }
}
