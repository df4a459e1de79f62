/** Real servers for the tests of the connection and the session: they speak HTTP, and what they answer is the test's. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { fromHex, hex } from "../souk/bytes.ts";
import { foundingId } from "../souk/founding.ts";
import { vectors } from "../souk/testing.ts";

/** A founding contract with markets, and its id. */
export const contract = fromHex(contractText());
export const id = hex(foundingId(contract));

function contractText(): string {
  const found = vectors<{ name: string; founding?: string }[]>("docs/spec/vectors/foundings.json").find((v) => v.name === "contract with a bank");
  if (!found?.founding) throw new Error("there is no founding contract among the vectors");
  return found.founding;
}

/** A request as a server got it. */
export interface Got {
  method: string;
  target: string;
  headers: IncomingMessage["headers"];
  body: Uint8Array;
}

/** What a server answers: a value as JSON, bytes, or whatever the function does with the response. */
export type Answer = { status?: number; json?: unknown; bytes?: Uint8Array } | ((response: ServerResponse) => void);

export class TestServer {
  readonly got: Got[] = [];
  url = "";
  id = id;
  #server: Server;

  constructor(private readonly answer: (got: Got, server: TestServer) => Answer | undefined) {
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    this.url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
    return this;
  }

  /** Dies as a killed process does: every connection breaks. */
  async die(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  /** Requests for a path. */
  of(path: string): Got[] {
    return this.got.filter((g) => g.target.startsWith(path));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of request) chunks.push(chunk as Uint8Array);
    const target = (request.url ?? "").replace(/^\/vs\/[0-9a-f]{64}/, "");
    const got = { method: request.method ?? "", target, headers: request.headers, body: new Uint8Array(Buffer.concat(chunks)) };
    this.got.push(got);
    response.setHeader("Souk-Server", this.id);
    const answer = this.answer(got, this) ?? standard(got);
    if (typeof answer === "function") return answer(response);
    response.statusCode = answer.status ?? 200;
    response.setHeader("Content-Type", answer.bytes ? "application/octet-stream" : "application/json");
    response.end(answer.bytes ? Buffer.from(answer.bytes) : JSON.stringify(answer.json ?? {}));
  }
}

/** What every server answers unless its test says otherwise. */
function standard(got: Got): Answer {
  if (got.target === "/v1/founding") return { bytes: contract };
  if (got.target === "/v1/status") return { json: { id, name: "test", member: "", height: 5, time: 1, members: [], peers: [] } };
  return { status: 404, json: { code: "not-found", detail: "There is nothing.", status: 404, title: "Not Found" } };
}

/** A browser's localStorage, in memory. */
export class MemoryStorage {
  readonly #values = new Map<string, string>();
  get length(): number {
    return this.#values.size;
  }
  key(i: number): string | null {
    return [...this.#values.keys()][i] ?? null;
  }
  getItem(key: string): string | null {
    return this.#values.get(key) ?? null;
  }
  setItem(key: string, value: string): void {
    this.#values.set(key, String(value));
  }
  removeItem(key: string): void {
    this.#values.delete(key);
  }
  clear(): void {
    this.#values.clear();
  }
}
