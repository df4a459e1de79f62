import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Connection, type Server } from "./connection.svelte.ts";
import { readPin } from "./pin.ts";
import { contract, id, MemoryStorage, TestServer, type Answer, type Got } from "./servers.testing.ts";

const opened: { servers: TestServer[]; connections: Connection[] } = { servers: [], connections: [] };

beforeEach(() => {
  vi.stubGlobal("localStorage", new MemoryStorage());
  vi.stubGlobal("WebSocket", undefined);
});
afterEach(async () => {
  for (const c of opened.connections.splice(0)) c.stop();
  for (const s of opened.servers.splice(0)) await s.die();
  vi.unstubAllGlobals();
});

async function server(answer: (got: Got) => Answer | undefined = () => undefined): Promise<TestServer> {
  const s = await new TestServer(answer).start();
  opened.servers.push(s);
  return s;
}

/** Founders of the vector are nowhere: only the test's own servers are reached. */
const local = ((url: string, init: RequestInit) =>
  String(url).startsWith("http://127.0.0.1") && opened.servers.some((s) => String(url).startsWith(s.url)) ? fetch(url, init) : Promise.reject(new TypeError("out of reach"))) as typeof fetch;

async function connect(home: TestServer): Promise<Connection> {
  const connection = new Connection(home.url, local);
  opened.connections.push(connection);
  await connection.start();
  return connection;
}

const member = (name: string, s: TestServer, number: number) => ({ id: number, name, url: s.url, power: 1, barred: false, demoted: false });
const status = (members: object[]) => ({ json: { id, name: "x", member: "", height: 5, time: 1, members, peers: [] } });

describe("the exchange of a browser (H-136)", () => {
  test("is the one of the first visit, by the hash of its founding contract", async () => {
    const connection = await connect(await server());
    expect(connection).toMatchObject({ id, phase: "ready" });
    expect(connection.founding).toEqual(contract);
    expect(readPin()?.id).toBe(id);
  });

  test("is not taken from a server whose contract is not that of its id", async () => {
    const home = await server();
    home.id = "f".repeat(64);
    const connection = await connect(home);
    expect(connection.phase).toBe("none");
    expect(readPin()).toBeUndefined();
  });

  test("stays when the server becomes another one, which is refused", async () => {
    await connect(await server());
    const stranger = await server();
    stranger.id = "f".repeat(64);
    const connection = await connect(stranger);
    await vi.waitFor(() => expect(connection.otherId).toBe(stranger.id));
    expect(connection.id).toBe(id);
    const asked = connection.servers.find((s) => s.url === stranger.url);
    await expect(connection.ask(asked as Server, "/v1/status")).rejects.toThrow("does not serve this exchange");
  });

  test("is refused in words where no server of ours answers", async () => {
    const home = await server();
    await connect(home);
    const stranger = await server();
    stranger.id = "f".repeat(64);
    opened.servers.splice(opened.servers.indexOf(home), 1); // out of reach from now on
    const connection = await connect(stranger);
    await vi.waitFor(() => expect(connection.phase).toBe("other"));
    await home.die();
  });
});

describe("when the page's server dies (H-117, H-137)", () => {
  test("the page loads again, by the members that it was told of", async () => {
    const second = await server((got) => (got.target === "/v1/status" ? status([]) : undefined));
    const home = await server((got) => (got.target === "/v1/status" ? status([member("second", second, 2)]) : undefined));
    expect((await connect(home)).servers.some((s) => s.member === "second")).toBe(true);
    await home.die();
    const again = await connect(home);
    expect(again.phase).toBe("ready");
    expect((await again.fetch("/v1/status")).status).toBe(200);
    expect(again.current?.url).toBe(second.url);
  });

  test("streams go on behind their last block with another one, and no block comes twice", async () => {
    const message = (height: number) => `id: ${height}\ndata: ${JSON.stringify({ cursor: String(height), height, time: height, markets: [] })}\n\n`;
    const streams = (blocks: (after: number) => number[]) => (got: Got): Answer | undefined => {
      if (!got.target.startsWith("/v1/events")) return undefined;
      const after = Number(new URLSearchParams(got.target.split("?")[1]).get("after") ?? 0);
      return (response) => {
        response.writeHead(200, { "Content-Type": "text/event-stream" });
        for (const height of blocks(after)) response.write(message(height));
      };
    };
    const second = await server(streams((after) => [4, 5, 6].filter((h) => h > after)));
    const home = await server((got) => (got.target === "/v1/status" ? status([member("second", second, 2)]) : streams(() => [4])(got)));
    const connection = await connect(home);
    const heights: number[] = [];
    for await (const block of connection.events({ markets: "all" })) {
      heights.push(block.height);
      if (block.height === 4) await home.die();
      if (block.height === 6) break;
    }
    expect(heights).toEqual([4, 5, 6]);
    expect(connection.current?.url).toBe(second.url);
    expect(second.of("/v1/events")[0]?.target).toContain("after=4");
  });
});

test("reads wait for the block of a receipt (H-33)", async () => {
  const home = await server((got) => (got.method === "POST" ? { json: [{ id: "ab".repeat(32), code: 0, height: 42, name: "", message: "", time: 0 }] } : undefined));
  const connection = await connect(home);
  await connection.submit(Uint8Array.of(1), "ab".repeat(32), Date.now() + 60_000);
  await connection.fetch("/v1/book/1");
  expect(home.of("/v1/book/1")[0]?.headers["souk-after"]).toBe("42");
});
