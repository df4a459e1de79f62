/**
 * The federation as this page sees it: which exchange this browser keeps to, its servers, how
 * far and how fast they are, and one way to ask them that goes on with the next one when one fails.
 * The exchange is the one that the page's server founded this browser's trust with: its id is
 * kept, and a server of another id is refused from then on.
 */
import { Souk, type EventsRequest, type Schemas } from "souk-api";
import { fromHex } from "../souk/bytes.ts";
import { readFounding, type Founding } from "../souk/founding.ts";
import { base64Of, bytesOf, dropPin, idOf, keepPin, readPin, type Pin } from "./pin.ts";
import { openStream } from "./socket.ts";
import { others, submitTo } from "./submit.ts";
import { Unreachable, Ways, type Ask, type Way } from "./ways.ts";

/**
 * starting: nothing is known yet. ready: the exchange is known and some server of it was heard of.
 * other: the page's server now serves another exchange than the one that this browser keeps to,
 * and no other server answers. none: no server answers, and nothing is kept.
 */
export type Phase = "starting" | "ready" | "other" | "none";

/** Signs a read of an account: the header Souk-Read for a method and a target. */
export type Sign = (method: string, target: string) => string | Promise<string>;

/** A server of the federation. Its fields change, and views that show them follow. */
export class Server implements Way {
  readonly url: string;
  up = $state(true);
  problem = $state("");
  /** The member's name and number, as servers say; empty and 0 until they are known. */
  member = $state("");
  number = $state(0);
  height = $state(0);
  /** How long its last answer took, ms; undefined: it has not answered yet. */
  latency = $state<number | undefined>(undefined);
  /** Blocks that it lacks of the newest that any server has. */
  behind = $state(0);
  software = $state("");
  protocol = $state(0);
  /** When it answered last, ms since the epoch. */
  seen = $state(0);
  /** Why it has stopped, catches up or stalls, as it says itself; empty: nothing of that. */
  complaint = $state("");

  constructor(url: string) {
    this.url = url;
  }

  /** The base of its WebSockets. */
  get ws(): string {
    return this.url.replace(/^http/, "ws");
  }

  /** What people are shown: the member's name, or where it is. */
  get title(): string {
    return this.member || this.url.replace(/^https?:\/\//, "");
  }
}

/** How often servers are looked at, ms: the one that is used, the others, and when nobody looks at the page. */
const beats = { used: 2_000, others: 12_000, watched: 3_000, hidden: 30_000 };
/** How long a server may take to say how it is, ms. */
const probeLimit = 1_500;
/** Which of the addresses of the API only one server at a time is asked, and how long, ms: these open something. */
const alone = 6_000;
/** For so long after a block was heard of, reads wait for it, ms (H-33). */
const fresh = 5_000;
const placeholder = "http://souk.invalid";

export class Connection {
  phase = $state<Phase>("starting");
  /** The exchange that this browser keeps to, 64 hexadecimal digits. */
  id = $state("");
  name = $state("");
  servers = $state.raw<Server[]>([]);
  /** The server that is asked first: the one that answered last. */
  current = $state.raw<Server | undefined>(undefined);
  /** The server whose answer came last: current may be the next one that is tried. */
  answered = $state.raw<Server | undefined>(undefined);
  /** What the current server says of itself and the federation. */
  status = $state.raw<Schemas["Status"] | undefined>(undefined);
  /** Height and time of the newest block that any server told of; nothing is proven by it. */
  height = $state(0);
  /** The id that the page's server has, when that is another one than ours. */
  otherId = $state("");
  /** The network view is shown: all servers are looked at often. */
  watched = $state(false);

  /** The founding contract: its bytes, whose hash is the id, and what they say. */
  founding: Uint8Array = new Uint8Array();
  contract = $state.raw<Founding | undefined>(undefined);
  /** The page's own server. */
  readonly origin: string;
  #ways: Ways<Server> | undefined;
  #public: Souk | undefined;
  #heard = { height: 0, at: 0 };
  #streams = new Map<AbortController, Server>();
  #stop: (() => void) | undefined;
  readonly #fetch: typeof fetch;

  constructor(origin: string, carry: typeof fetch = (...a) => fetch(...a)) {
    this.origin = origin;
    this.#fetch = carry;
  }

  /** Learns which exchange this is, from this browser or, the first time, from the page's server. */
  async start(): Promise<void> {
    this.#stop?.();
    const pin = readPin();
    if (pin) {
      this.#adopt(pin);
      void this.#lookAtOrigin();
    } else {
      this.phase = "starting";
      try {
        this.#adopt(await this.#meet());
      } catch {
        this.phase = "none";
        const again = setTimeout(() => void this.start(), 2_000);
        this.#stop = () => clearTimeout(again);
        return;
      }
    }
    this.#stop = this.#watch();
    await this.#roster();
  }

  /** Ends what runs on its own. */
  stop(): void {
    this.#stop?.();
    for (const cut of this.#streams.keys()) cut.abort();
  }

  /** Forgets the exchange that was kept: the page takes that of its server when it is loaded again. Keys are not touched: what they sign holds for one exchange only. */
  forget(): void {
    this.stop();
    dropPin();
  }

  /** The operations that anybody may ask: connection.api.GET("/v1/book/{market}", ...). The next server is asked when one fails. */
  get api(): Souk["api"] {
    this.#public ??= this.#client();
    return this.#public.api;
  }

  /** The same for reads that are signed. */
  signedApi(sign: Sign): Souk["api"] {
    return this.#client(sign).api;
  }

  /** What blocks do, of what is asked for: each block once, in order, none left out, whatever becomes of single servers. Throws Gone when blocks were missed, see api/ts. */
  events(request: EventsRequest, sign?: Sign): AsyncGenerator<Schemas["BlockEvents"], void, undefined> {
    return (sign ? this.#client(sign) : this.#client()).events(request);
  }

  /** Sends a signed command to one member and the next until its fate is known. Its expiry is that of its bytes, ms. */
  async submit(bytes: Uint8Array, id: string, expiry: number): Promise<Schemas["Receipt"]> {
    const receipt = await submitTo(this.#known(), { bytes, id, expiry });
    this.heard(receipt.height);
    return receipt;
  }

  /** Sends the bytes of a command once more, to others than the server that answered last: the receipt of one that has it in a block. The same bytes have one effect (H-16). */
  async repeat(bytes: Uint8Array, id: string): Promise<Schemas["Receipt"] | undefined> {
    return others(this.#known(), this.answered, { bytes, id });
  }

  /** Asks any server: target is the path from /v1 on and the query. For the Prover too, which goes by what is proven. */
  async fetch(target: string, init: { method?: string; headers?: HeadersInit; body?: BodyInit | null; signal?: AbortSignal | null } = {}): Promise<Response> {
    return (await this.#carry({ method: "GET", ...init, target })).response;
  }

  /** Asks one server by itself. */
  async ask(server: Server, target: string, init: { method?: string; headers?: HeadersInit; signal?: AbortSignal | null } = {}): Promise<Response> {
    return this.#known().one(server, { method: "GET", ...init, target });
  }

  /** Servers in the order in which they are asked. */
  order(): Server[] {
    return this.#ways?.order() ?? [];
  }

  /** Reads wait for this block for a moment: who pays through one server and looks through another sees the payment. */
  heard(height: number): void {
    if (height > this.#heard.height) this.#heard = { height, at: Date.now() };
    if (height > this.height) this.height = height;
  }

  #known(): Ways<Server> {
    if (!this.#ways) throw new Unreachable([]);
    return this.#ways;
  }

  #client(sign?: Sign): Souk {
    const carry = (input: RequestInfo | URL, init?: RequestInit) => this.#bridge(String(input), init ?? {}, sign);
    const options = { servers: [placeholder], id: this.id || "0".repeat(64), fetch: carry as typeof fetch };
    return new Souk(sign ? { ...options, sign } : options);
  }

  /** Carries a request that was made for a placeholder to the servers there are. */
  async #bridge(url: string, init: RequestInit, sign: Sign | undefined): Promise<Response> {
    const target = url.slice(url.indexOf("/v1", placeholder.length + 4 + 64));
    const headers = new Headers(init.headers);
    const stream = headers.get("Accept") === "text/event-stream";
    const ask: Ask = { method: init.method ?? "GET", target, headers, body: (init.body as BodyInit | null) ?? null, signal: init.signal ?? null };
    return stream ? this.#stream(ask, sign) : (await this.#carry(ask)).response;
  }

  async #carry(ask: Ask): Promise<{ way: Server; response: Response }> {
    const headers = new Headers(ask.headers);
    if (ask.method === "GET" && Date.now() - this.#heard.at < fresh) headers.set("Souk-After", `${this.#heard.height}`);
    const opens = ask.method === "POST" && /^\/v1\/(admissions|practice)/.test(ask.target);
    const answer = await this.#known().send({ ...ask, headers, ...(opens ? { alone, next: (r: Response) => r.status === 404 } : {}) });
    this.#use(answer.way);
    return answer;
  }

  /** A stream is cut as soon as its server is known not to answer, so that it goes on with the next one. */
  async #stream(ask: Ask, sign: Sign | undefined): Promise<Response> {
    const cut = new AbortController();
    const signal = ask.signal ? AbortSignal.any([cut.signal, ask.signal]) : cut.signal;
    const ways = this.#known();
    let last: unknown = new Unreachable([]);
    for (const server of ways.order()) {
      this.#streams.set(cut, server);
      try {
        const response = await openStream(server, ways, { ...ask, signal, stream: true }, { ended: () => this.#ended(cut, server), sign });
        this.#use(server);
        return response;
      } catch (error) {
        this.#streams.delete(cut);
        if (signal.aborted) throw error;
        ways.mark(server, false, "out of reach");
        last = error;
      }
    }
    throw last;
  }

  /** A stream broke off: perhaps its server is gone, and the others want to know at once. */
  #ended(cut: AbortController, server: Server): void {
    this.#streams.delete(cut);
    if (!cut.signal.aborted && server.up) void this.probe(server);
  }

  #use(server: Server): void {
    if (this.current !== server) this.current = server;
    if (this.answered !== server) this.answered = server;
  }

  /** First visit: the founding contract of the page's own server, whose hash is the id from now on. */
  async #meet(): Promise<Pin> {
    const response = await this.#fetch(`${this.origin}/v1/founding`, { credentials: "omit", cache: "no-store", redirect: "error" });
    if (!response.ok) throw new Error(`${this.origin} does not answer`);
    const founding = new Uint8Array(await response.arrayBuffer());
    const id = idOf(founding);
    if (response.headers.get("Souk-Server") !== id) throw new Error(`${this.origin} shows a founding contract that is not its own`);
    const pin: Pin = { id, founding: base64Of(founding), servers: [this.origin] };
    keepPin(pin);
    return pin;
  }

  #adopt(pin: Pin): void {
    this.id = pin.id;
    this.founding = bytesOf(pin.founding);
    this.contract = readFounding(fromHex(pin.id, 32), this.founding);
    this.name = this.contract.name;
    this.#public = undefined;
    this.#ways = new Ways<Server>({ id: pin.id, fetch: this.#fetch, make: (url) => new Server(url), changed: (s) => this.#changed(s) });
    this.#ways.add(this.origin);
    // The founders' servers stand in the contract; those of later members were told of.
    for (const member of this.contract.members) this.#member(member.url, member.name);
    for (const url of pin.servers) this.#ways.add(url);
    this.servers = [...this.#ways.list];
    this.current = this.servers[0];
    this.phase = "ready";
  }

  /** The page's own server may have become that of another exchange. */
  async #lookAtOrigin(): Promise<void> {
    try {
      const response = await this.#fetch(`${this.origin}/v1/founding`, { credentials: "omit", cache: "no-store", redirect: "error" });
      const id = response.headers.get("Souk-Server") ?? "";
      this.otherId = /^[0-9a-f]{64}$/.test(id) && id !== this.id ? id : "";
    } catch {
      return; // It does not answer: the others will.
    }
    if (this.otherId && !this.servers.some((s) => s.up && s.url !== this.origin && s.seen > 0)) this.phase = "other";
  }

  #changed(server: Server): void {
    if (!server.up) {
      for (const [cut, at] of this.#streams) if (at === server) cut.abort();
      if (this.current === server) this.current = this.#ways?.order()[0];
    } else if (this.phase === "other") {
      this.phase = "ready";
    }
  }

  /** Learns the members' servers, and keeps them for a time when the page's own server is gone. */
  async #roster(): Promise<void> {
    try {
      const { data } = await this.api.GET("/v1/status");
      if (data) this.#told(data);
    } catch {
      // Nobody answers now; the next look will.
    }
  }

  #told(status: Schemas["Status"]): void {
    const ways = this.#known();
    this.status = status;
    for (const member of status.members) this.#member(member.url, member.name, member.id);
    if (ways.list.length !== this.servers.length) this.servers = [...ways.list];
    this.heardOf(status.height);
    keepPin({ id: this.id, founding: base64Of(this.founding), servers: ways.list.map((s) => s.url).slice(0, 64) });
  }

  #member(url: string, name: string, number = 0): void {
    const base = baseOf(url);
    if (!base) return;
    const server = this.#known().add(base);
    server.member = name;
    if (number > 0) server.number = number;
  }

  private heardOf(height: number): void {
    if (height > this.height) this.height = height;
    for (const s of this.servers) s.behind = s.height > 0 ? Math.max(0, this.height - s.height) : 0;
  }

  /** Looks at the servers in turn. Answers what ends that. */
  #watch(): () => void {
    const last = new Map<Server, number>();
    const tick = setInterval(() => {
      const now = Date.now();
      const hidden = typeof document !== "undefined" && document.hidden;
      for (const server of this.servers) {
        const every = hidden ? beats.hidden : server === this.current ? beats.used : this.watched ? beats.watched : beats.others;
        if (now - (last.get(server) ?? 0) < every) continue;
        last.set(server, now);
        void this.probe(server);
      }
    }, 500);
    return () => clearInterval(tick);
  }

  /** Asks a server how it is. */
  async probe(server: Server): Promise<void> {
    const ways = this.#known();
    const began = performance.now();
    try {
      const response = await ways.one(server, { method: "GET", target: "/v1/status", signal: AbortSignal.timeout(probeLimit) });
      if (!response.ok) throw new Error(`answers ${response.status}`);
      const status = (await response.json()) as Schemas["Status"];
      server.latency = Math.max(1, Math.round(performance.now() - began));
      server.seen = Date.now();
      server.height = status.height;
      server.software = status.software;
      server.protocol = status.protocol;
      if (status.member) server.member = status.member;
      server.complaint = status.halted ?? (status.catching_up ? "catching up" : status.stalled ? "waiting for a block" : "");
      ways.mark(server, true, "");
      if (server === this.current) this.#told(status);
      this.heardOf(status.height);
    } catch (error) {
      ways.mark(server, false, error instanceof Error && error.name === "OtherServer" ? error.message : "out of reach");
    }
  }
}

/** The origin of a member's URL; undefined if it is none that a page can ask. */
function baseOf(url: string | undefined): string | undefined {
  try {
    const parsed = new URL(url ?? "");
    return parsed.protocol === "http:" || parsed.protocol === "https:" ? parsed.origin + parsed.pathname.replace(/\/+$/, "") : undefined;
  } catch {
    return undefined;
  }
}

/** The connection of this page. */
export const connection = new Connection(typeof location === "undefined" ? "http://localhost" : location.origin);
