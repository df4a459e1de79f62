/** Sends one signed command to one member and the next until its fate is known (docs/spec/10-http.md, H-16, H-25, H-80). */
import type { Schemas } from "souk-api";
import { type Ask, Unreachable, type Way, type Ways } from "./ways.ts";

type Receipt = Schemas["Receipt"];
type Problem = Schemas["Error"];

/** A signed command. */
export interface Signed {
  bytes: Uint8Array;
  /** Its id, 64 hexadecimal digits. */
  id: string;
}

/** A command ready to be sent. */
export interface Sealed extends Signed {
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
/** How long another server may take to say what it makes of a command that one has refused, ms. */
const opinion = 5_000;
const nonceUsed = new Set([7, 8]);

/** Sends it until a server tells its receipt. */
export async function submitTo<W extends Way & { member?: string }>(ways: Ways<W>, command: Sealed): Promise<Receipt> {
  const deadline = Math.max(command.expiry, Date.now()) + grace;
  for (let pause = 100; ; pause = Math.min(2 * pause, 2_000)) {
    try {
      const { way, receipt } = await once(ways, command);
      if (receipt.height !== 0) return receipt;
      const known = nonceUsed.has(receipt.code) ? await elsewhere(ways, command) : undefined;
      return known ?? (await others(ways, way, command)) ?? receipt;
    } catch (error) {
      if (error instanceof Refusal) throw error;
      if (Date.now() > deadline) throw new Undecided(command.id);
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

/** One round over the servers. Throws Refusal when they refuse, anything else when the fate is open. */
async function once<W extends Way & { member?: string }>(ways: Ways<W>, command: Sealed): Promise<{ way: W; receipt: Receipt }> {
  const began = Date.now();
  const { way, response } = await ways.send({
    ...posting(command),
    before: async (way, silent, signal) => {
      const wanted = await missing(ways, way as W, command, signal);
      const first = silent[0] as W | undefined;
      return wanted && first ? { "Souk-Silent": first.member || first.url } : new Headers();
    },
  });
  if (response.ok) {
    const receipt = await receiptIn(response, command);
    ways.decided(Date.now() - began);
    return { way, receipt };
  }
  const problem = (await response.json()) as Problem;
  if (response.status >= 500 || response.status === 408 || response.status === 429) throw new Unreachable([problem.detail]);
  throw new Refusal(problem);
}

function posting(command: Signed): Ask {
  return {
    method: "POST",
    target: "/v1/commands",
    headers: { "Content-Type": "application/octet-stream", Accept: "application/json" },
    body: new Uint8Array(command.bytes),
  };
}

async function receiptIn(response: Response, command: Signed): Promise<Receipt> {
  const receipts = (await response.json()) as Receipt[];
  const receipt = receipts[0];
  if (receipts.length !== 1 || !receipt || receipt.id !== command.id) throw new Error("the receipt is that of another command");
  return receipt;
}

/**
 * The receipt of a command that one server says it did not pass on, from another that does: the same bytes have one
 * effect (H-16). Else a server that lies could keep the command, and have it executed after its sender has sent another.
 */
export async function others<W extends Way>(ways: Ways<W>, refused: W | undefined, command: Signed): Promise<Receipt | undefined> {
  for (const way of ways.order()) {
    if (way === refused) continue;
    try {
      const response = await ways.one(way, { ...posting(command), signal: AbortSignal.timeout(opinion) });
      const receipt = response.ok ? await receiptIn(response, command) : undefined;
      if (receipt && receipt.height !== 0) return receipt;
    } catch {
      continue;
    }
  }
  return undefined;
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
