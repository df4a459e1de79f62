/** A federation in memory for the tests of the prover: servers that answer as the recorded ones, or lie. */
import { fromBase64, fromHex, hex, toBase64 } from "../souk/bytes.ts";
import { Key } from "../souk/keys.ts";
import { signRead } from "../souk/read.ts";
import { vectors } from "../souk/testing.ts";
import { Core, type CoreOptions } from "./core.ts";
import { ProofError } from "./problem.ts";
import type { Server } from "./server.ts";

export interface JsonProof {
  height: number;
  leaf?: string;
  path?: string;
  item?: string;
  list?: string;
}

export interface Moment {
  name: string;
  height: number;
  leaves: Record<string, JsonProof>;
  coins: string[];
  sums: { Free: number; Change: number; Lost: number; Books: number; Deficit: number };
  said: { account: { number: number; available: Record<string, number>; held: Record<string, number> }; supply: number; last: number };
}

interface World {
  id: string;
  founding: string;
  now: number;
  headers: string[];
  forged: string[];
  forged_leaf: string;
  forged_path: string;
  texts: string[];
  seeds: { alice: string };
  address: string;
  stranger: string;
  order: number;
  others_order: number;
  receipt: string;
  trade: number;
  results: { id: string; proof: JsonProof }[];
  moments: Moment[];
  deposit: { bank: number; series: number; index: number; text: string; salt: string; others: number; other: string; network: string };
}

export const world = vectors<World>("web/ui/src/testdata/world.json");
export const vsid = fromHex(world.id);
export const alice = new Key(fromHex(world.seeds.alice));

export function momentOf(name: string): Moment {
  const m = world.moments.find((x) => x.name === name);
  if (!m) throw new TypeError(`there is no moment ${name}`);
  return m;
}

/** Changes an answer before it is given. */
export type Lie = (target: string, answer: unknown) => unknown;

/** A server of the recorded virtual server, at one moment. */
export class Fake implements Server {
  moment: Moment;
  height: number; // of its newest header
  lie: Lie = (_, answer) => answer;
  light_: (height: number, raw: string | undefined) => string | undefined = (_, raw) => raw;
  asked: string[] = [];

  constructor(
    readonly name: string,
    moment: string,
  ) {
    this.moment = momentOf(moment);
    this.height = this.moment.height;
  }

  light(height: number): Promise<Uint8Array> {
    const at = height === 0 ? this.height : height;
    const raw = this.light_(at, at > this.height ? undefined : world.headers[at - 1]);
    return raw === undefined ? Promise.reject(new ProofError("there is none", "unreachable", this.name)) : Promise.resolve(fromHex(raw));
  }

  get(target: string, token?: string): Promise<unknown> {
    this.asked.push(target);
    if (/^\/v1\/(accounts|orders)/.test(target) && !token?.startsWith(`v1 address=${world.address};`)) {
      return Promise.reject(new ProofError("not signed", "unreachable", this.name));
    }
    return Promise.resolve(this.lie(target, JSON.parse(JSON.stringify(this.#answer(target) ?? null)) ?? undefined));
  }

  /** The proof of a leaf as the recorded state has it. */
  leaf(key: string): JsonProof {
    const p = this.moment.leaves[key];
    if (!p) throw new TypeError(`leaf ${key} was not recorded`);
    return p;
  }

  #answer(target: string): unknown {
    const url = new URL(target, "http://souk.invalid");
    const [, , what, id, more] = url.pathname.split("/");
    switch (what) {
      case "leaves":
        return { height: this.moment.height, leaves: (url.searchParams.get("keys") ?? "").split(",").map((k) => this.leaf(k)) };
      case "accounts":
        if (more === "addresses") return this.#addresses(url.searchParams.get("at") ?? "");
        return { proof: this.leaf(leafName(3, hex(alice.address))) };
      case "orders":
        return { proof: this.leaf(leafName(5, Number(id).toString(16).padStart(16, "0"))) };
      case "commands":
      case "auctions":
      case "trades": {
        const found = world.results.find((r) => r.id === (what === "commands" ? id : what.slice(0, -1)));
        return found && { proof: found.proof };
      }
      case "banks":
        if (more !== "coins") return { banks: [{ id: 1, asset: 4 }] };
        return { coins: this.moment.coins.map((c) => ({ tx: c.split(":")[0], output: Number(c.split(":")[1]) })) };
    }
    return undefined;
  }

  #addresses(at: string): unknown {
    const [series = 0, index = 0] = at === "" ? [world.deposit.series, world.deposit.index] : at.split("-").map(Number);
    const four = (n: number) => n.toString(16).padStart(8, "0");
    const text = series === 0 ? world.deposit.text : world.deposit.other;
    return { addresses: [{ series, index, address: text, proof: this.leaf(leafName(14, four(1) + four(series) + four(index))) }] };
  }
}

/** The key of a leaf as text: a byte for its kind, and the rest in hexadecimal digits. */
export function leafName(kind: number, rest: string): string {
  return (kind.toString(16).padStart(2, "0") + rest).padEnd(64, "0");
}

/** A prover over these servers, for Alice. */
export function prover(servers: Server[], options: Partial<CoreOptions> = {}): Core {
  return new Core({
    id: world.id, founding: fromHex(world.founding), servers, patience: 300, now: () => world.now,
    sign: (method, target) => signRead(vsid, alice, world.now, method, target), ...options,
  });
}

/** Honest servers of all members at a moment. */
export function honest(moment: string, count = 4): Fake[] {
  return Array.from({ length: count }, (_, i) => new Fake(`server-${i + 1}`, moment));
}

/** Changes one byte of a base64 text. */
export function spoil(text: string, at: number): string {
  const bytes = fromBase64(text);
  bytes[at % bytes.length]! ^= 1;
  return toBase64(bytes);
}

/** What a promise is rejected with. */
export async function problem(work: Promise<unknown>): Promise<ProofError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof ProofError) return error;
    throw error;
  }
  throw new TypeError("nothing was refused");
}
