/**
 * Client of the HTTP API of a Souk virtual server, whose operations and values are generated
 * from web/openapi.json into schema.d.ts. It is given several servers of one virtual server
 * and goes to the next one when one is out of reach (docs/spec/10-http.md, H-80, H-117).
 */
import createClient, { type Client } from "openapi-fetch";
import type { components, paths } from "./schema.js";
import { events, type EventsRequest } from "./events.js";

export type { components, paths } from "./schema.js";
export { Gone, Refused, type EventsRequest } from "./events.js";

/** Values of the API by name, such as Schemas["Book"]. */
export type Schemas = components["schemas"];

/** What a client is made of. */
export interface Options {
  /** Base URLs of servers of one virtual server, the preferred one first. */
  servers: string[];
  /** The virtual server's id, 64 hexadecimal digits: no other one can answer in its place. */
  id: string;
  /**
   * Signs a read of an account: the text of the header Souk-Read for a method and a target,
   * which is the path from /v1 on and the query (H-20, H-21). Absent: public things only.
   */
  sign?: (method: string, target: string) => string | Promise<string>;
  /** Carries the requests; absent: the global fetch. */
  fetch?: typeof fetch;
}

/** A client of one virtual server. */
export class Souk {
  /** The operations: souk.api.GET("/v1/book/{market}", { params: ... }). */
  readonly api: Client<paths>;
  readonly #options: Options;

  constructor(options: Options) {
    if (options.servers.length === 0) throw new TypeError("a client needs a server");
    if (!/^[0-9a-f]{64}$/.test(options.id)) throw new TypeError("the id of a virtual server has 64 hexadecimal digits");
    this.#options = { ...options, servers: options.servers.map((s) => s.replace(/\/+$/, "")) };
    // The base is only a place to cut off: the request is sent to each server in turn.
    this.api = createClient<paths>({ baseUrl: base, fetch: (request) => this.#send(request) });
  }

  /** What blocks do, of what is asked for: in order, each block once, none left out. */
  events(request: EventsRequest): AsyncGenerator<Schemas["BlockEvents"], void, undefined> {
    return events(this.#options, request);
  }

  /** Sends a request to one server after the other until one gives an answer that counts. */
  async #send(request: Request): Promise<Response> {
    const target = request.url.slice(base.length);
    const body = request.method === "GET" || request.method === "HEAD" ? null : await request.arrayBuffer();
    let last: unknown;
    for (const server of this.#options.servers) {
      const headers = new Headers(request.headers);
      if (this.#options.sign) headers.set("Souk-Read", await this.#options.sign(request.method, target));
      try {
        const response = await (this.#options.fetch ?? fetch)(`${server}/vs/${this.#options.id}${target}`, {
          method: request.method, headers, body, signal: request.signal, redirect: "error",
        });
        if (response.headers.get("Souk-Server") !== this.#options.id) throw new Error(`${server} does not serve that virtual server`);
        if (response.status < 500 && !elsewhere.has(response.status)) return response;
        last = response;
      } catch (error) {
        if (request.signal.aborted) throw error;
        last ??= error;
      }
    }
    if (last instanceof Response) return last;
    throw last;
  }
}

const base = "http://souk.invalid";

/** Statuses with which another server may do better. */
const elsewhere = new Set([408, 409, 410, 421, 429]);
