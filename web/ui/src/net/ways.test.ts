import { afterEach, describe, expect, test } from "vitest";
import { id, TestServer, type Answer, type Got } from "./servers.testing.ts";
import { Refusal, submitTo } from "./submit.ts";
import { OtherServer, Unreachable, Ways, type Way } from "./ways.ts";

const patience = 150;
const open: TestServer[] = [];

afterEach(async () => {
  for (const server of open.splice(0)) await server.die();
});

async function server(answer: (got: Got, server: TestServer) => Answer | undefined): Promise<TestServer> {
  const s = await new TestServer(answer).start();
  open.push(s);
  return s;
}

function waysTo(...servers: TestServer[]): Ways {
  return patientWaysTo(patience, ...servers);
}

function patientWaysTo(patience: number, ...servers: TestServer[]): Ways {
  const ways = new Ways<Way>({ id, patience, make: (url) => ({ url, up: true, problem: "" }) });
  for (const s of servers) ways.add(s.url);
  return ways;
}

const says = (text: string) => () => ({ json: { text } });
const silent = () => () => undefined; // takes the request and never answers
const status = (code: number) => () => ({ status: code, json: { code: "x", detail: `${code}`, status: code, title: "" } });

async function ask(ways: Ways, more: object = {}): Promise<{ text: string; url: string }> {
  const { way, response } = await ways.send({ method: "GET", target: "/v1/x", ...more });
  return { text: ((await response.json()) as { text: string }).text, url: way.url };
}

describe("a request (H-80)", () => {
  test("goes to the next server at once when one is out of reach, and to that one first from then on", async () => {
    const [dead, alive] = [await server(says("dead")), await server(says("alive"))];
    const ways = patientWaysTo(60_000, dead, alive);
    expect((await ask(ways)).text).toBe("dead");
    await dead.die();
    // Nobody waits for a server that refuses: the patience is longer than the test may last.
    expect(await ask(ways)).toEqual({ text: "alive", url: alive.url });
    expect(ways.list.map((w) => w.up)).toEqual([false, true]);
    expect(ways.order()[0]?.url).toBe(alive.url);
  });

  test("goes to the next one beside a silent one, and takes what comes first", async () => {
    const [mute, alive] = [await server(silent), await server(says("alive"))];
    expect((await ask(waysTo(mute, alive))).text).toBe("alive");
    expect(mute.got).toHaveLength(1);
  });

  test("goes on when a server dies in the middle of its answer", async () => {
    const half = await server(() => (response) => {
      response.writeHead(200, { "Content-Length": "100" });
      response.write("{");
      setImmediate(() => response.destroy());
    });
    expect((await ask(waysTo(half, await server(says("whole"))))).text).toBe("whole");
  });

  test.each([500, 503, 504, 408, 409, 410, 421, 429])("goes on after %i", async (code) => {
    expect((await ask(waysTo(await server(status(code)), await server(says("better"))))).text).toBe("better");
  });

  test("takes a refusal, and the first of several when nobody does better", async () => {
    const [refuses, other] = [await server(status(403)), await server(status(404))];
    const first = await waysTo(refuses, other).send({ method: "GET", target: "/v1/x" });
    expect(first.response.status).toBe(403);
    expect(other.got).toHaveLength(1);
    expect((await ask(waysTo(refuses, await server(says("better"))))).text).toBe("better");
    const busy = await waysTo(await server(status(429)), await server(status(503))).send({ method: "GET", target: "/v1/x" });
    expect(busy.response.status).toBe(429);
  });

  test("never takes an answer of another virtual server", async () => {
    const liar = await server((_, s) => {
      s.id = "f".repeat(64);
      return undefined;
    });
    liar.id = "f".repeat(64);
    const ways = waysTo(liar);
    await expect(ask(ways)).rejects.toThrow(Unreachable);
    expect(ways.list[0]).toMatchObject({ up: false, problem: `${liar.url} does not serve this exchange` });
    await expect(ways.one(ways.list[0] as Way, { method: "GET", target: "/v1/x" })).rejects.toThrow(OtherServer);
    expect((await ask(waysTo(liar, await server(says("ours"))))).text).toBe("ours");
  });

  test("that opens something is asked of one server at a time, and of the next one after its 404", async () => {
    const order: string[] = [];
    const slow = await server(() => (response) => {
      order.push("slow");
      setTimeout(() => {
        order.push("answered");
        response.statusCode = 404;
        response.end("{}");
      }, 2 * patience);
    });
    const gives = await server(() => {
      order.push("gives");
      return { json: { text: "given" } };
    });
    const more = { method: "POST", alone: 20 * patience, next: (r: Response) => r.status === 404 };
    expect((await ask(waysTo(slow, gives), more)).text).toBe("given");
    expect(order).toEqual(["slow", "answered", "gives"]);
  });

  test("ends when its caller does not want it any more", async () => {
    const cut = new AbortController();
    const answer = ask(waysTo(await server(silent)), { signal: cut.signal });
    setTimeout(() => cut.abort(new Error("enough")), 20);
    await expect(answer).rejects.toThrow("enough");
  });
});

describe("a command", () => {
  const command = { bytes: Uint8Array.of(1, 2, 3), id: "ab".repeat(32), expiry: Date.now() + 60_000 };
  const receipt = (height: number, code = 0) => ({ id: command.id, code, height, name: "", message: "", time: 0 });
  const executes = (got: Got): Answer | undefined => (got.method === "POST" ? { json: [receipt(7)] } : undefined);

  test("goes to the next member with the same bytes, and the silent one is named (H-25)", async () => {
    const mute = await server(silent);
    const alive = await server((got) => executes(got) ?? { json: { id: command.id, fate: "unknown" } });
    expect((await submitTo(waysTo(mute, alive), command)).height).toBe(7);
    const [first, second] = [mute.of("/v1/commands")[0], alive.got.find((g) => g.method === "POST")];
    expect(second?.body).toEqual(command.bytes);
    expect(first?.body).toEqual(command.bytes);
    expect(second?.headers["souk-silent"]).toBe(mute.url);
  });

  test("is not a report of silence while it waits for its block", async () => {
    let asked = 0;
    const alive = await server((got) => executes(got) ?? { json: { id: command.id, fate: ++asked < 3 ? "waiting" : "committed", receipt: receipt(7) } });
    expect((await submitTo(waysTo(await server(silent), alive), command)).height).toBe(7);
    expect(alive.got.find((g) => g.method === "POST")?.headers["souk-silent"]).toBeUndefined();
  });

  test("whose nonce is used has its receipt with another server (H-16)", async () => {
    const used = await server((got) => (got.method === "POST" ? { json: [receipt(0, 7)] } : { json: { id: command.id, fate: "elsewhere" } }));
    const has = await server((got) => (got.method === "GET" ? { json: { id: command.id, fate: "committed", receipt: receipt(6) } } : undefined));
    expect(await submitTo(waysTo(used, has), command)).toMatchObject({ height: 6, code: 0 });
  });

  test("is sent until its fate is known, and a refusal of what was sent is one", async () => {
    let tries = 0;
    const late = await server(() => (++tries < 3 ? { status: 504, json: { detail: "undecided" } } : { json: [receipt(9)] }));
    expect((await submitTo(waysTo(late), command)).height).toBe(9);
    expect(tries).toBe(3);
    const strict = await server(() => ({ status: 400, json: { code: "bad-encoding", detail: "That is no command.", status: 400, title: "" } }));
    await expect(submitTo(waysTo(strict), command)).rejects.toThrow(new Refusal({ code: "bad-encoding", detail: "That is no command.", status: 400, title: "" }));
  });

  test("that one server refuses, or says it did not pass on, goes to another, so that nobody keeps it", async () => {
    const liars = [status(400), status(403), status(404), () => ({ json: [receipt(0, 111)] })];
    for (const lies of liars) {
      const honest = await server(executes);
      expect((await submitTo(waysTo(await server(lies), honest), command)).height).toBe(7);
      expect(honest.got.find((g) => g.method === "POST")?.body).toEqual(command.bytes);
    }
    const all = waysTo(await server(() => ({ json: [receipt(0, 111)] })), await server(() => ({ json: [receipt(0, 112)] })));
    expect(await submitTo(all, command)).toMatchObject({ height: 0, code: 111 });
  });

  test("does not take the receipt of another one", async () => {
    const wrong = { ...receipt(7), id: "cd".repeat(32) };
    let tries = 0;
    const confused = await server(() => ({ json: [++tries < 2 ? wrong : receipt(7)] }));
    expect((await submitTo(waysTo(confused), command)).id).toBe(command.id);
  });
});
