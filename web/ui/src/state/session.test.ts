import type * as scrypt from "@noble/hashes/scrypt.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { afterAll, afterEach, beforeAll, beforeEach, describe as group, expect, test, vi } from "vitest";
import { connection } from "../net/connection.ts";
import { id, MemoryStorage, TestServer, type Answer, type Got } from "../net/servers.testing.ts";
import { concat, encodeUtf8, fromHex, hex } from "../souk/bytes.ts";
import { decodeCommand, type Body } from "../souk/command.ts";
import { describe, type Description } from "../souk/describe.ts";
import { kinds, type Kind } from "../souk/body.ts";
import * as vault from "../souk/vault.ts";
import { confirmations } from "./confirm.svelte.ts";
import { facts, prover } from "./facts.ts";
import { Cancelled, CommandRefused, Locked, session, type Asking } from "./session.svelte.ts";
import { settings } from "./settings.svelte.ts";

// Node has no IndexedDB; what is sealed is sealed by the real vault.
const kept = vi.hoisted(() => ({ vault: undefined as unknown }));
vi.mock("../souk/vault.ts", async (original) => ({
  ...(await original<typeof vault>()),
  keep: (v: unknown) => Promise.resolve(void (kept.vault = v)),
  kept: () => Promise.resolve(kept.vault),
  forget: () => Promise.resolve(void (kept.vault = undefined)),
}));

// Here it is the phases that are tested, and not how long a guess takes.
vi.mock("@noble/hashes/scrypt.js", async (original) => {
  const real = await original<typeof scrypt>();
  return { ...real, scryptAsync: ((p, s, o) => real.scryptAsync(p, s, { ...o, N: 1 << 10 })) satisfies typeof real.scryptAsync };
});

// What is proven of fates comes from a worker; here a test says what there is to prove.
const proof = vi.hoisted(() => ({ proven: true, watched: 0 }));
vi.mock("./fate.ts", () => ({
  isProven: () => Promise.resolve(proof.proven),
  watch: () => Promise.resolve(void proof.watched++),
}));

const passphrase = "four words on paper";
let home: TestServer;
let posts: Uint8Array[] = [];
let refuse: false | "in a block" | "before" | "altogether" = false;

function answers(got: Got): Answer | undefined {
  if (got.target === "/v1/nonce") return { json: { top: 10, time: Date.now() } };
  if (got.method !== "POST") return undefined;
  posts.push(got.body);
  const command = decodeCommand(got.body);
  if (refuse === "altogether") return { status: 403, json: { code: "not-now", detail: "Not now." } };
  const receipt = { id: hex(idOf(got.body)), code: refuse ? 100 : 0, height: refuse === "before" ? 0 : 7, time: 1, name: "", message: refuse ? "No such market." : "", number: Number(command.nonce) };
  return { json: [receipt] };
}

/** What was signed: the encoding without its signature, under the id of the exchange (B-2). */
function signedBytes(sent: Uint8Array): Uint8Array {
  const tag = encodeUtf8("souk/command/v1");
  return concat(Uint8Array.of(tag.length), tag, fromHex(id, 32), sent.slice(0, -64));
}
const idOf = (sent: Uint8Array) => sha256(signedBytes(sent));

beforeAll(async () => {
  vi.stubGlobal("localStorage", new MemoryStorage());
  vi.stubGlobal("sessionStorage", new MemoryStorage());
  vi.stubGlobal("indexedDB", { databases: () => Promise.resolve([]) });
  home = await new TestServer(answers).start();
  Object.assign(connection, { origin: home.url });
  await connection.start();
});
afterAll(async () => {
  connection.stop();
  await home.die();
  vi.unstubAllGlobals();
});
beforeEach(() => {
  posts = [];
  refuse = false;
  proof.proven = true;
  settings.confirmOrders = true;
});
afterEach(() => confirmations.pending?.answer(false));

async function asked(): Promise<Description> {
  return vi.waitFor(() => {
    if (!confirmations.pending) throw new Error("nothing is asked");
    return confirmations.pending.description;
  }, 10_000); // what is not proven at once is tried for some seconds
}

group("the phases of a session (H-138)", () => {
  test("new, open, locked, open again, and wiped", async () => {
    await session.start();
    expect(session).toMatchObject({ phase: "new", ready: true, address: "" });
    const words = await session.newWords();
    await session.create(words, passphrase);
    const { address } = session;
    expect(session).toMatchObject({ phase: "open", practice: false, backedUp: false });
    expect(address).toMatch(/^souk1[0-9a-z]{38}$/);
    for (const place of [localStorage, sessionStorage]) {
      for (let i = 0; i < place.length; i++) expect(place.getItem(place.key(i) ?? "")).not.toContain(words.split(" ")[0]);
    }

    session.lock();
    expect(session).toMatchObject({ phase: "locked", address });
    expect(() => session.sign("GET", "/v1/nonce")).toThrow(Locked);
    await expect(session.submit({ kind: "cancel-all", market: 0 })).rejects.toThrow(Locked);
    await expect(session.unlock("another passphrase")).rejects.toThrow(vault.WrongPassphrase);
    expect(session.phase).toBe("locked");
    await session.unlock(passphrase);
    expect(session).toMatchObject({ phase: "open", address });

    await session.signOut();
    expect(session).toMatchObject({ phase: "new", address: "" });
    expect(kept.vault).toBeUndefined();
    // The page that is still open may note again which exchange it is of, and nothing else.
    for (let i = 0; i < localStorage.length; i++) expect(localStorage.key(i)).toBe("souk.exchange");
  });

  test("a practice account opens by itself, cannot be locked, and makes room for one under a passphrase", async () => {
    await session.createPractice();
    const { address } = session;
    session.lock();
    expect(session).toMatchObject({ phase: "open", practice: true });
    expect(kept.vault).toBeUndefined();
    // Its words lay in the open, so an account for real money gets others.
    await session.create(await session.newWords(), passphrase);
    expect(session).toMatchObject({ phase: "open", practice: false });
    expect(session.address).not.toBe(address);
    expect(localStorage.getItem("souk.account")).toBe('{"backedUp":false}');
    await session.signOut();
  });
});

const out = fromHex("0014" + "11".repeat(20), 22);
const salt = new Uint8Array(16).fill(3);
const to = new Uint8Array(20).fill(8);
const key = fromHex("5866666666666666666666666666666666666666666666666666666666666666", 32);
const place = {
  kind: "place", market: 1, side: "buy", order: "limit", tif: "gtc", postOnly: false, price: 5_000_000_000_000n, quantity: 100_000n, quote: 0n,
  trigger: 0n, expiry: 0n, client: "",
} as const satisfies Body;
const soon = () => BigInt(Date.now() + 3_600_000);
/** One of each kind that gives money or power away, or ends something for good. */
const grave: Partial<Record<Kind, () => Body>> = {
  transfer: () => ({ kind: "transfer", to, asset: 1, amount: 5n, memo: "" }),
  withdraw: () => ({ kind: "withdraw", bank: 1, output: out, amount: 100_000n, maxFee: 2_000n, salt }),
  donate: () => ({ kind: "donate", bank: 1, amount: 1_000n }),
  "set-withdrawals": () => ({ kind: "set-withdrawals", delay: 0n, only: false, allowed: [], salt }),
  "add-delegate": () => ({ kind: "add-delegate", key, scopes: 2, expiry: soon(), markets: [] }),
  rotate: () => ({ kind: "rotate", key }),
  lock: () => ({ kind: "lock", payee: to, asset: 1, amount: 5n, hash: new Uint8Array(32).fill(1), deadline: soon(), arbiter: new Uint8Array(20), window: 0n, memo: "" }),
  resolve: () => ({ kind: "resolve", escrow: 3n, pay: true }),
};

group("submit (H-138)", () => {
  beforeAll(async () => session.createPractice());
  afterAll(async () => session.signOut());

  test.each(Object.entries(grave))("%s is sent only after it was shown, whatever is asked for", async (_, make) => {
    settings.confirmOrders = false;
    for (const confirm of ["never", "settings", "always"] satisfies Asking[]) {
      const sending = session.submit(make(), { confirm });
      await asked();
      expect(posts).toHaveLength(0);
      confirmations.pending?.answer(false);
      await expect(sending).rejects.toThrow(Cancelled);
      expect(posts).toHaveLength(0);
    }
  });

  test("every kind is either shown always, or trades or takes back", () => {
    const free: Kind[] = ["place", "place-oco", "amend", "cancel", "cancel-all", "cancel-all-after", "new-address"];
    const said: Kind[] = ["remove-delegate", "cancel-rotation", "claim", "refund", "dispute", "cancel-withdrawal"];
    expect([...Object.keys(grave), ...free, ...said].sort()).toEqual(Object.keys(kinds).sort());
  });

  test("sends the very bytes that were shown, though what they were made of changes meanwhile", async () => {
    const body = { kind: "withdraw", bank: 1, output: out.slice(), amount: 100_000n, maxFee: 2_000n, salt } satisfies Body;
    const sending = session.submit(body);
    const shown = await asked();
    // Whoever holds the object, or answers for a server, cannot make it another one now.
    body.output.fill(0xee);
    body.amount = 99_999_999n;
    confirmations.pending?.answer(true);
    expect(await sending).toMatchObject({ code: 0, height: 7 });
    const [sent] = posts;
    if (!sent) throw new Error("nothing was sent");
    expect(decodeCommand(sent).body).toMatchObject({ kind: "withdraw", amount: 100_000n, output: out });
    const world = await facts.world(signedBytes(sent), { address: decodeCommand(sent).account, name: session.address });
    expect(describe(signedBytes(sent), world)).toEqual(shown);
  });

  test("orders are shown by the setting, and cancels go at once", async () => {
    settings.confirmOrders = false;
    await session.submit(place);
    await session.submit({ kind: "cancel-all", market: 0 });
    settings.confirmOrders = true;
    await session.submit({ kind: "cancel-all", market: 0 });
    expect(posts).toHaveLength(3);
    const sending = session.submit(place);
    expect((await asked()).title).toContain("BTC");
    expect(posts).toHaveLength(3);
    confirmations.pending?.answer(true);
    await sending;
    expect(posts).toHaveLength(4);
    const nonces = posts.map((p) => decodeCommand(p).nonce);
    expect(new Set(nonces).size).toBe(4);
    expect(nonces.every((n) => n > 10n)).toBe(true);
  });

  test("signs nothing of a market of which nothing is proven", async () => {
    settings.confirmOrders = false;
    await expect(session.submit({ ...place, market: 77 })).rejects.toThrow();
    expect(posts).toHaveLength(0);
  });

  test("says what a server refused", async () => {
    refuse = "in a block";
    settings.confirmOrders = false;
    await expect(session.submit(place)).rejects.toThrow(CommandRefused);
    await expect(session.submit(place)).rejects.toThrow("No such market.");
  });

  test.each(["in a block", "before", "altogether"] as const)("what was refused %s, and nothing proves it, cannot be executed beside what is sent next", async (how) => {
    settings.confirmOrders = false;
    refuse = how;
    proof.proven = false;
    await expect(session.submit(place)).rejects.toThrow(/No such market|Not now/);
    refuse = false;
    await session.submit(place);
    await session.submit(place);
    const [first, again, next] = [posts[0], posts.at(-2), posts.at(-1)].map((p) => decodeCommand(p ?? new Uint8Array()).nonce);
    expect(again).toBe(first); // one nonce, one effect (B-5)
    expect(next).not.toBe(first);
  });

  test("a proven refusal has used its nonce", async () => {
    settings.confirmOrders = false;
    refuse = "in a block";
    await expect(session.submit(place)).rejects.toThrow(CommandRefused);
    refuse = false;
    const before = proof.watched;
    await session.submit(place);
    expect(new Set(posts.map((p) => decodeCommand(p).nonce)).size).toBe(2);
    expect(proof.watched).toBe(before + 1); // and a success is looked at
  });

  test("an order at market far from what is proven is shown, whatever the settings are", async () => {
    settings.confirmOrders = false;
    const sending = session.submit({ ...place, order: "market", tif: "ioc" });
    expect((await asked()).warnings).toEqual(["The price of the last trade is not proven: the worst price may be far from it."]);
    confirmations.pending?.answer(false);
    await expect(sending).rejects.toThrow(Cancelled);
    expect(posts).toHaveLength(0);
  });

  test("a cancel goes to the order that was meant, or is shown", async () => {
    const order = { id: 9n, market: 1, side: "sell" as const, price: 6n, quantity: 5n };
    const real = facts.world.bind(facts);
    const world = vi.spyOn(facts, "world").mockImplementation(async (b, k) => ({ ...(await real(b, k)), order: (id) => (id === 9n ? order : undefined) }));
    vi.spyOn(prover(), "order").mockRejectedValue(new Error("nobody answers"));
    const cancel = (id: bigint) => ({ kind: "cancel", target: { order: id, client: "" } }) as const;
    await session.submit(cancel(9n), { confirm: "never", expect: (o) => o.price === 6n });
    expect(posts).toHaveLength(1);
    await expect(session.submit(cancel(9n), { confirm: "never", expect: (o) => o.price === 7n })).rejects.toThrow(/another one than the server has listed/);
    const sending = session.submit(cancel(8n), { confirm: "never" });
    const shown = await asked();
    expect(shown.warnings).toEqual(["It is not proven which order has this number. Cancel it only if you know."]);
    confirmations.pending?.answer(false);
    await expect(sending).rejects.toThrow(Cancelled);
    expect(posts).toHaveLength(1);
    world.mockRestore();
  }, 30_000);

  test("a question ends with the session, and nothing is sent", async () => {
    const sending = session.submit({ kind: "transfer", to, asset: 1, amount: 5n, memo: "" });
    await asked();
    await session.signOut();
    await expect(sending).rejects.toThrow(Cancelled);
    expect(posts).toHaveLength(0);
    await session.createPractice();
  });
});
