/** Run by web/typescript_test.go against a real virtual server, which goes on trading until this ends. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Gone, Refused, Souk, type Schemas } from "./index.js";

const servers = (process.env["SOUK_SERVERS"] ?? "").split(",");
const id = process.env["SOUK_ID"] ?? "";
const alice = process.env["SOUK_ALICE"] ?? "";
const signer = process.env["SOUK_SIGNER"] ?? ""; // a page of the test that signs for alice
const sign = async (method: string, target: string) =>
  (await fetch(`${signer}?${new URLSearchParams({ method, target })}`)).text();

test("operations are typed, and a dead server costs nothing", async () => {
  const souk = new Souk({ servers: ["http://127.0.0.1:1", ...servers], id });
  const { data, error, response } = await souk.api.GET("/v1/book/{market}", { params: { path: { market: "BTC-EUR" }, query: { depth: 5 } } });
  assert.equal(response.status, 200, JSON.stringify(error));
  const book: Schemas["Book"] | undefined = data;
  assert.equal(book?.symbol, "BTC-EUR");
  const missing = await souk.api.GET("/v1/book/{market}", { params: { path: { market: "NONE-EUR" } } });
  assert.equal(missing.error?.code, "not-found");
  assert.equal(missing.error?.field, "path.market");
  const wrong = new Souk({ servers, id: "00".repeat(32) });
  await assert.rejects(wrong.api.GET("/v1/status"));
});

test("an account is read with a signature", async () => {
  const open = await new Souk({ servers, id }).api.GET("/v1/accounts/{address}", { params: { path: { address: alice } } });
  assert.equal(open.error?.code, "not-signed");
  const { data } = await new Souk({ servers, id, sign }).api.GET("/v1/accounts/{address}", { params: { path: { address: alice } } });
  assert.equal(data?.address, alice);
});

test("a book that is kept by a stream is the server's", async () => {
  const souk = new Souk({ servers: ["http://127.0.0.1:1", ...servers], id });
  const read = async () => (await souk.api.GET("/v1/book/{market}", { params: { path: { market: "BTC-EUR" }, query: { depth: 1000 } } })).data;
  const sides = (book: Schemas["Book"]) => ({
    bids: new Map(book.bids.map((l) => [l.price, l.quantity])), asks: new Map(book.asks.map((l) => [l.price, l.quantity])),
  });
  const begin = await read();
  assert.ok(begin);
  const kept = sides(begin);
  let height = 0;
  let after = String(begin.height);
  for (let seen = 0; seen < 20; ) {
    // Every few messages the connection is given up, and a new one goes on behind the cursor.
    for await (const m of souk.events({ markets: ["BTC-EUR"], after })) {
      assert.ok(m.height > height);
      [height, after] = [m.height, m.cursor];
      for (const e of m.markets ?? []) {
        for (const [side, changes] of [[kept.bids, e.bids], [kept.asks, e.asks]] as const) {
          for (const l of changes ?? []) Number(l.quantity) === 0 ? side.delete(l.price) : side.set(l.price, l.quantity);
        }
      }
      if (++seen % 4 === 0) break;
    }
  }
  const sorted = (of: ReturnType<typeof sides>) => [[...of.bids].sort(), [...of.asks].sort()];
  for (let tries = 0; ; tries++) {
    const now = await read();
    assert.ok(now && tries < 1000);
    if (now.height > height) { // take in what came meanwhile
      for await (const m of souk.events({ markets: ["BTC-EUR"], after, alive: true })) {
        [height, after] = [m.height, m.cursor];
        for (const e of m.markets ?? []) {
          for (const l of e.bids ?? []) Number(l.quantity) === 0 ? kept.bids.delete(l.price) : kept.bids.set(l.price, l.quantity);
          for (const l of e.asks ?? []) Number(l.quantity) === 0 ? kept.asks.delete(l.price) : kept.asks.set(l.price, l.quantity);
        }
        if (m.height >= now.height) break;
      }
    }
    if (now.height !== height) continue;
    assert.deepEqual(sorted(kept), sorted(sides(now)));
    break;
  }
});

test("an account's stream tells of its orders", async () => {
  for await (const m of new Souk({ servers, id, sign }).events({ account: alice })) {
    assert.equal(m.account?.address, alice);
    assert.ok(m.account?.events.some((e) => e.kind === "command"));
    break;
  }
});

test("a stream ends when the servers refuse, or when it is told to", async () => {
  const refused = new Souk({ servers, id }).events({ markets: ["NONE-EUR"] }).next();
  await assert.rejects(refused, (e: unknown) => e instanceof Refused && !(e instanceof Gone) && e.problem.field === "query.markets");
  const stop = new AbortController();
  const stream = new Souk({ servers, id }).events({ markets: "all", alive: true, signal: stop.signal });
  assert.equal((await stream.next()).done, false);
  stop.abort();
  while (!(await stream.next()).done);
});
