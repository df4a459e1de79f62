/** Sends one signed command to one member and the next until its fate is known (docs/spec/10-http.md, H-16, H-25, H-80). */
import type { Schemas } from "souk-api";
import { Unreachable, type Way, type Ways } from "./ways.ts";

type Receipt = Schemas["Receipt"];
type Problem = Schemas["Error"];

/** A command ready to be sent. */
export interface Sealed {
  bytes: Uint8Array;
  /** Its id, 64 hexadecimal digits. */
  id: string;
  /** From which block time on it is refused, ms. */
  expiry: number;
}

/** No server can say what became of the command, and it has expired. */
export class Undecided extends Error {
  constructor(readonly id: string) {
    super("no server says what became of it");
    this.name = "Undecided";
  }
}

/** Servers refuse what was sent, in words for people. */
export class Refusal extends Error {
  constructor(readonly problem: Problem) {
    super(problem.detail);
    this.name = "Refusal";
  }
}

/** How long after its expiry a command's fate is still asked for, ms. */
const grace = 30_000;
const nonceUsed = new Set([7, 8]);

/** Sends it until a server tells its receipt. */
export async function submitTo<W extends Way & { member?: string }>(ways: Ways<W>, command: Sealed): Promise<Receipt> {
  const deadline = Math.max(command.expiry, Date.now()) + grace;
  for (let pause = 100; ; pause = Math.min(2 * pause, 2_000)) {
    try {
      const receipt = await once(ways, command);
      return receipt.height === 0 && nonceUsed.has(receipt.code) ? ((await elsewhere(ways, command)) ?? receipt) : receipt;
    } catch (error) {
      if (error instanceof Refusal) throw error;
      if (Date.now() > deadline) throw new Undecided(command.id);
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

/** One round over the servers. Throws Refusal when they refuse, anything else when the fate is open. */
async function once<W extends Way & { member?: string }>(ways: Ways<W>, command: Sealed): Promise<Receipt> {
  const began = Date.now();
  const { response } = await ways.send({
    method: "POST",
    target: "/v1/commands",
    headers: { "Content-Type": "application/octet-stream", Accept: "application/json" },
    body: new Uint8Array(command.bytes),
    before: async (way, silent, signal) => {
      const wanted = await missing(ways, way as W, command, signal);
      const first = silent[0] as W | undefined;
      return wanted && first ? { "Souk-Silent": first.member || first.url } : new Headers();
    },
  });
  if (response.ok) {
    const receipts = (await response.json()) as Receipt[];
    const receipt = receipts[0];
    if (receipts.length !== 1 || !receipt || receipt.id !== command.id) throw new Error("the receipt is that of another command");
    ways.decided(Date.now() - began);
    return receipt;
  }
  const problem = (await response.json()) as Problem;
  if (response.status >= 500 || response.status === 408 || response.status === 429) throw new Unreachable([problem.detail]);
  throw new Refusal(problem);
}

/**
 * Tells whether a server has not heard of the command. While it waits for a block there, the silent server
 * has passed it on and did its duty, and sending it again would only be work.
 */
async function missing<W extends Way>(ways: Ways<W>, way: W, command: Sealed, signal: AbortSignal): Promise<boolean> {
  for (;;) {
    try {
      const response = await ways.one(way, { method: "GET", target: `/v1/commands/${command.id}`, signal });
      const fate = response.ok ? ((await response.json()) as Schemas["Fate"]).fate : "unknown";
      if (fate !== "waiting") return fate === "unknown";
    } catch {
      return false;
    }
    await new Promise((resolve) => setTimeout(resolve, ways.patience / 4));
    if (signal.aborted) return false;
  }
}

/** Its receipt, from a server that has it. */
async function elsewhere<W extends Way>(ways: Ways<W>, command: Sealed): Promise<Receipt | undefined> {
  for (const way of ways.order()) {
    try {
      const response = await ways.one(way, { method: "GET", target: `/v1/commands/${command.id}`, signal: AbortSignal.timeout(ways.patience) });
      const fate = (await response.json()) as Schemas["Fate"];
      if (response.ok && fate.fate === "committed" && fate.receipt?.id === command.id) return fate.receipt;
    } catch {
      continue;
    }
  }
  return undefined;
}
