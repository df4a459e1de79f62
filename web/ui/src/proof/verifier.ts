/**
 * Checks proofs against signed headers (docs/spec/10-http.md, H-60 to H-64). It begins at the newest
 * header there is and never goes back: what it shows of the state is never older than what it showed.
 */
import { BadBytes, equal, hex } from "../souk/bytes.ts";
import { type Clock, keys, parseClock } from "../souk/leaf.ts";
import type { LightBlock } from "../souk/light.ts";
import { absent, inList, parseMapProof, present } from "../souk/merkle.ts";
import type { LightClient } from "./client.ts";
import type { RawProof } from "./json.ts";
import { ProofError } from "./problem.ts";

/** Says how fresh a proven fact is: the signed header that vouches for it. */
export interface At {
  height: number;
  time: number; // ms
  /** The header's, 64 hexadecimal digits; with the height it is a checkpoint. */
  hash: string;
}

/** A proof does not hold: the server that gave it lies or is broken. */
export class BadProof extends Error {
  override readonly name = "BadProof";
}

/** A proof is of a state before one that was shown already. */
export class OldProof extends Error {
  override readonly name = "OldProof";
}

const lookEvery = 1000; // ms for which the newest header that was seen passes for the newest

export class Verifier {
  readonly #client: LightClient;
  readonly #now: () => number; // ms
  #looked = -Infinity;
  #newest: (At & { root: Uint8Array }) | undefined;

  constructor(client: LightClient, now: () => number = () => performance.now()) {
    this.#client = client;
    this.#now = now;
  }

  /** Asks for the newest header, unless that was done a moment ago. */
  async refresh(): Promise<At> {
    if (!this.#newest || this.#now() - this.#looked >= lookEvery) {
      const b = await this.#client.newest();
      this.#looked = this.#now();
      if (b.header.height > (this.#newest?.height ?? 0)) this.#newest = { ...at(b), root: b.header.root };
    }
    return { height: this.#newest?.height ?? 0, time: this.#newest?.time ?? 0, hash: this.#newest?.hash ?? "" };
  }

  /** Refuses to go back. Of blocks that changed nothing all headers state the same root (H-64). */
  #advance(b: LightBlock): void {
    const { height, root } = b.header;
    if (!this.#newest || height >= this.#newest.height) this.#newest = { ...at(b), root };
    else if (!equal(root, this.#newest.root)) throw new OldProof("the proof is older than what was seen");
  }

  /** Checks proofs of leaves of one state, the newest. undefined is proven absence. */
  async leaves(height: number, proofs: { key: Uint8Array; leaf: Uint8Array; path: Uint8Array }[]): Promise<{ at: At; values: (Uint8Array | undefined)[] }> {
    await this.refresh();
    const b = await this.#recent(height);
    const values = proofs.map((p) => leafUnder(b.header.root, p.key, p.leaf, p.path));
    this.#advance(b);
    return { at: at(b), values };
  }

  /** Checks a proof of an entry of a block's results, and answers it and the clock of its block. */
  async item(p: RawProof): Promise<{ at: At; item: Uint8Array; clock: Clock }> {
    const b = await this.#header(p.height);
    const leaf = leafUnder(b.header.root, keys.clock(), p.leaf, p.path);
    if (!leaf) throw new BadProof("there is no clock");
    const clock = parseClock(leaf);
    if (!inList(p.list, clock.results, p.item)) throw new BadProof("the entry is not in the block's results");
    return { at: at(b), item: p.item, clock };
  }

  /** The header of a proof of the newest state. One from before what was seen, which nobody leads down to, is old. */
  async #recent(height: number): Promise<LightBlock> {
    try {
      return await this.#header(height);
    } catch (error) {
      const lost = error instanceof ProofError && (error.kind === "unreachable" || error.kind === "unconfirmed");
      if (lost && height < (this.#newest?.height ?? 0)) throw new OldProof("the proof is older than what was seen");
      throw error;
    }
  }

  #header(height: number): Promise<LightBlock> {
    if (height < 1) throw new BadProof("no header has height 0");
    return this.#client.at(height);
  }
}

function at(b: LightBlock): At {
  return { height: b.header.height, time: Number(b.header.time / 1_000_000n), hash: hex(b.hash) };
}

/** The value of a leaf under a root, undefined if it is proven that there is none; else BadProof. */
function leafUnder(root: Uint8Array, key: Uint8Array, leaf: Uint8Array, path: Uint8Array): Uint8Array | undefined {
  try {
    const proof = parseMapProof(path);
    if (leaf.length === 0) {
      if (absent(proof, root, key)) return undefined;
    } else if (present(proof, root, key, leaf)) return leaf;
  } catch (error) {
    if (!(error instanceof BadBytes)) throw error;
  }
  throw new BadProof("the proof does not lead to the root that the header states");
}
