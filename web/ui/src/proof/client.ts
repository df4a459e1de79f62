/**
 * Follows a virtual server by its signed headers (docs/spec/08-consensus.md, C-60 to C-67): from the
 * founding contract on, or from what was verified another day. It believes a header only when the
 * validators that it trusts signed it and a second server has the same.
 */
import { BadBytes, equal } from "../souk/bytes.ts";
import {
  Expired, type LightBlock, NotProven, TooFar, type Validator, chainId, decodeLightBlock, expired, hop, hopDown, isSigned, setHash,
} from "../souk/light.ts";
import { ProofError, worse } from "./problem.ts";
import { proofText as t } from "./text.ts";
import { aborted, sleep } from "./waiting.ts";

/** A server that is asked for headers. Servers should belong to different members. */
export interface LightSource {
  name: string;
  /** The founding contract names it: nobody could have made it up since. */
  founder?: boolean;
  /** The light block of a height, or the nearest kept one below; 0 is the newest. */
  light(height: number, signal: AbortSignal): Promise<Uint8Array>;
}

export interface ClientOptions {
  vsid: Uint8Array;
  founders: Validator[];
  sources: LightSource[];
  /** What was verified another day. */
  saved?: Uint8Array | undefined;
  now?: () => number; // ms
  /** Is told what a server did that it must not do. */
  blame?: (server: string, what: string) => void;
  /** Is given every newer verified block, to be saved. */
  save?: (raw: Uint8Array, height: number) => void;
  patience?: number; // ms that other servers have to confirm a header
  hops?: number; // most blocks in between, up or down
}

const mostHops = 256;
const maxTrusted = 128;
const poll = 100; // ms

interface Answer {
  source: LightSource;
  block: LightBlock;
}

export class LightClient {
  readonly #o: ClientOptions;
  readonly #chain: string;
  readonly #patience: number;
  readonly #hops: number;
  #trusted: LightBlock[] = []; // by height
  #floor = 0; // height that was verified another day
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: ClientOptions) {
    this.#o = options;
    this.#chain = chainId(options.vsid);
    this.#patience = options.patience ?? 3000;
    this.#hops = options.hops ?? mostHops;
    const saved = options.saved && this.#readSaved(options.saved);
    if (saved) {
      this.#trusted = [saved];
      this.#floor = saved.header.height;
    }
  }

  /** What was saved and cannot be read is as if it were not there; it was checked when it was saved. */
  #readSaved(raw: Uint8Array): LightBlock | undefined {
    try {
      return decodeLightBlock(this.#chain, raw);
    } catch (error) {
      if (error instanceof BadBytes) return undefined;
      throw error;
    }
  }

  get #now(): bigint {
    return BigInt(this.#o.now?.() ?? Date.now()) * 1_000_000n;
  }

  get #alone(): boolean {
    return this.#o.founders.length === 1;
  }

  /** The newest verified block. */
  get #newest(): LightBlock | undefined {
    return this.#trusted.at(-1);
  }

  /** Runs one verification at a time. */
  #serial<T>(work: () => Promise<T>): Promise<T> {
    const next = this.#turn.then(async () => {
      if (this.#o.sources.length < 2 && !this.#alone) throw new ProofError(t.alone, "unconfirmed");
      if (this.#trusted.length === 0) await this.#begin();
      return work();
    });
    this.#turn = next.catch(() => undefined);
    return next;
  }

  /** The verified block of a height. It is waited for, if it is about to come. */
  at(height: number): Promise<LightBlock> {
    const known = this.#known(height);
    if (known) return Promise.resolve(known);
    return this.#serial(async () => {
      let last: ProofError | undefined;
      const until = Date.now() + this.#patience;
      for (;;) {
        let hope = false; // of an answer that is about to come
        for (const source of this.#o.sources) {
          try {
            return await this.#accept({ source, block: await this.#fetch(source, height) });
          } catch (error) {
            if (!(error instanceof ProofError) || error.kind === "expired" || error.kind === "fork") throw error;
            hope ||= error.kind === "unreachable";
            last = worse(last, error);
          }
        }
        if (!hope || Date.now() >= until) throw last ?? new ProofError(t.silent, "unreachable");
        await sleep(poll);
      }
    });
  }

  /**
   * The newest block that any server shows with the signatures it must have; never one below what was
   * verified before. Nobody else has confirmed it: it only tells what is out of date (C-67).
   */
  newest(): Promise<LightBlock> {
    return this.#serial(async () => {
      const heads = await this.#fetchAll(0);
      if (heads.length === 0) throw new ProofError(t.silent, "unreachable");
      heads.sort((a, b) => b.block.header.height - a.block.header.height);
      const known = this.#newest;
      if (!known) throw new ProofError(t.unverified, "unconfirmed");
      for (const { source, block } of heads) {
        if (block.header.height <= known.header.height) break;
        try {
          await this.#reach(source, block);
          return block;
        } catch (error) {
          if (error instanceof NotProven) this.#blame(source, t.block);
          else if (final(error)) throw error;
        }
      }
      if (expired(known, this.#now)) throw new ProofError(t.expired, "expired");
      return known;
    });
  }

  /**
   * Begins anew from a checkpoint that the user was told by somebody, and that servers confirm: two at least, and more
   * than show another block. All may answer, for two that are in on it are quicker than the honest (C-65). Where two of
   * the founders' servers answer, only those count: of others a liar can name as many as he likes.
   */
  async trust(height: number, hash: Uint8Array): Promise<void> {
    let answers = (await this.#fetchAll(height, Infinity)).filter((a) => a.block.header.height === height);
    const founders = answers.filter((a) => a.source.founder);
    if (founders.length >= 2) answers = founders;
    const found: Answer[] = [];
    for (const a of answers) {
      if (!equal(a.block.hash, hash)) continue;
      if (isSigned(a.block)) found.push(a);
      else this.#blame(a.source, t.block);
    }
    const block = found[0]?.block;
    if (!block || found.length < Math.min(2, this.#o.sources.length)) throw new ProofError(t.checkpoint, "unconfirmed");
    const others = answers.filter((a) => !equal(a.block.hash, hash)).map((a) => a.source.name);
    if (others.length >= found.length) throw new ProofError(t.disputed(others.join(", ")), "unconfirmed");
    if (expired(block, this.#now)) throw new ProofError(t.expired, "expired");
    if (height < this.#floor) throw new ProofError(t.behind(height, this.#floor), "old");
    this.#trusted = [block];
    this.#o.save?.(block.raw, height);
  }

  /** Trusts the founders' block besides what is trusted, so that what is far below can be reached from there. */
  async #anchored(): Promise<boolean> {
    try {
      await this.#begin();
      return true;
    } catch (error) {
      if (error instanceof ProofError && error.kind !== "fork") return false;
      throw error;
    }
  }

  /** Trusts the block of height 1 that the founders have signed. */
  async #begin(): Promise<void> {
    const first = setHash(this.#o.founders);
    const until = Date.now() + this.#patience;
    let answers = await this.#fetchAll(1);
    while (answers.length === 0 && Date.now() < until) {
      await sleep(poll);
      answers = await this.#fetchAll(1);
    }
    if (answers.length === 0) throw new ProofError(t.silent, "unreachable");
    let last: ProofError | undefined;
    for (const a of answers) {
      const why = this.#checkFirst(a.block, first);
      if (why !== undefined) {
        last = this.#blame(a.source, why);
        continue;
      }
      if (expired(a.block, this.#now)) throw new ProofError(t.expired, "expired");
      await this.#confirm(a, (_, other) => {
        if (this.#checkFirst(other, first) !== undefined) throw new NotProven(t.first);
        return Promise.resolve();
      });
      this.#keep(a.block);
      return;
    }
    throw last ?? new ProofError(t.unverified, "unconfirmed");
  }

  /** What is wrong with a first block, if anything is. */
  #checkFirst(b: LightBlock, first: Uint8Array): string | undefined {
    if (b.header.height !== 1 || !equal(b.header.validators, first)) return t.first;
    return isSigned(b) ? undefined : t.block;
  }

  /** Verifies a block and has it confirmed. */
  async #accept(a: Answer): Promise<LightBlock> {
    const known = this.#known(a.block.header.height);
    if (known) {
      if (equal(known.hash, a.block.hash)) return known;
      if (equal(known.header.validators, a.block.header.validators) && isSigned(a.block)) {
        throw new ProofError(t.fork(known.header.height, t.earlier, a.source.name), "fork");
      }
      throw this.#blame(a.source, t.other);
    }
    let path: LightBlock[];
    try {
      path = await this.#reach(a.source, a.block);
    } catch (error) {
      if (error instanceof NotProven) throw this.#blame(a.source, t.block);
      throw error;
    }
    await this.#confirm(a, async (source, other) => void (await this.#reach(source, other)));
    for (const b of path) this.#keep(b);
    return a.block;
  }

  /** Verifies a block by those trusted, with blocks in between from its source where needed. */
  async #reach(source: LightSource, b: LightBlock): Promise<LightBlock[]> {
    let from = this.#trusted.findLast((x) => x.header.height < b.header.height);
    if (!from) {
      const lowest = this.#trusted[0]?.header.height ?? 0;
      if (lowest - b.header.height <= this.#hops || !(await this.#anchored())) return this.#backwards(source, b);
      return this.#reach(source, b);
    }
    const path: LightBlock[] = [];
    const ahead = [b];
    for (let i = 0; i < this.#hops; i++) {
      const to = ahead.at(-1);
      if (!to) return path;
      try {
        hop(from, to, this.#now);
        path.push(to);
        from = to;
        ahead.pop();
        continue;
      } catch (error) {
        if (error instanceof Expired) throw new ProofError(t.expired, "expired");
        if (!(error instanceof TooFar) || to.header.height === from.header.height + 1) throw error;
      }
      ahead.push(await this.#between(source, from.header.height, to.header.height));
    }
    throw new NotProven(t.block);
  }

  /** A block between two heights of which the validators differ: the middle one, or where a change was. */
  async #between(source: LightSource, from: number, to: number): Promise<LightBlock> {
    for (let [low, high] = [from, to]; high - low > 1; ) {
      const ask = low + Math.floor((high - low) / 2);
      const b = await this.#fetchNear(source, ask);
      if (b.header.height > from) return b;
      low = ask; // no change between from and there
    }
    throw new ProofError(t.unverified, "unconfirmed", source.name);
  }

  /** Verifies a block below all that are trusted by the chain of hashes. */
  async #backwards(source: LightSource, b: LightBlock): Promise<LightBlock[]> {
    let above = this.#trusted[0];
    if (!above || above.header.height - b.header.height > this.#hops) throw new ProofError(t.unverified, "unconfirmed");
    while (above.header.height > b.header.height) {
      const next: number = above.header.height - 1;
      const below = next > b.header.height ? await this.#fetch(source, next) : b;
      hopDown(above, below);
      above = below;
    }
    return [b];
  }

  /** At least one other server must have the same block; one that verifies and is different is a fork. */
  async #confirm(a: Answer, verify: (source: LightSource, other: LightBlock) => Promise<void>): Promise<void> {
    const others = this.#o.sources.filter((s) => s.name !== a.source.name);
    if (others.length === 0 && this.#alone) return;
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), this.#patience);
    let confirmed = false;
    let fork: ProofError | undefined;
    const height = a.block.header.height;
    const judge = async (source: LightSource) => {
      const other = await this.#fetchWaiting(source, height, stop.signal);
      if (!other) return;
      if (equal(other.hash, a.block.hash)) {
        confirmed = true;
        setTimeout(() => stop.abort(), this.#patience / 10); // the rest have a little longer to contradict
        return;
      }
      try {
        await verify(source, other);
        fork = new ProofError(t.fork(height, a.source.name, source.name), "fork");
        stop.abort();
      } catch (error) {
        if (error instanceof NotProven) this.#blame(source, t.block);
      }
    };
    await Promise.race([Promise.all(others.map(judge)), aborted(stop.signal)]);
    clearTimeout(timer);
    stop.abort();
    if (fork) throw fork;
    if (!confirmed) throw new ProofError(t.unconfirmed, "unconfirmed");
  }

  /** The block of a height from a server, which may not have it yet; undefined if it has not in time. */
  async #fetchWaiting(source: LightSource, height: number, signal: AbortSignal): Promise<LightBlock | undefined> {
    while (!signal.aborted) {
      try {
        return await this.#fetch(source, height, signal);
      } catch (error) {
        if (!(error instanceof ProofError) || error.kind === "refused") return undefined;
        await sleep(poll);
      }
    }
    return undefined;
  }

  async #fetch(source: LightSource, height: number, signal?: AbortSignal): Promise<LightBlock> {
    const b = await this.#fetchNear(source, height, signal);
    if (height !== 0 && b.header.height !== height) throw new ProofError(t.unverified, "unreachable", source.name);
    return b;
  }

  async #fetchNear(source: LightSource, height: number, signal = AbortSignal.timeout(this.#patience)): Promise<LightBlock> {
    const raw = await source.light(height, signal);
    try {
      const b = decodeLightBlock(this.#chain, raw);
      if (height !== 0 && b.header.height > height) throw new BadBytes("a block above the one that was asked for");
      return b;
    } catch (error) {
      if (error instanceof BadBytes) throw this.#blame(source, t.malformed);
      throw error;
    }
  }

  /** What servers answer in time. When enough have, the others have only a little longer. */
  async #fetchAll(height: number, enoughAre = 2): Promise<Answer[]> {
    const answers: Answer[] = [];
    const enough = new AbortController();
    const asked = this.#o.sources.map(async (source) => {
      try {
        answers.push({ source, block: await this.#fetch(source, height) });
        if (answers.length === enoughAre) setTimeout(() => enough.abort(), this.#patience / 10);
      } catch (error) {
        if (!(error instanceof ProofError)) throw error;
      }
    });
    await Promise.race([Promise.all(asked), aborted(enough.signal)]);
    return [...answers];
  }

  #blame(source: LightSource, what: string): ProofError {
    this.#o.blame?.(source.name, what);
    return new ProofError(t.lies(source.name, what), "refused", source.name);
  }

  #known(height: number): LightBlock | undefined {
    return this.#trusted.find((b) => b.header.height === height);
  }

  /** Remembers a verified block, and forgets old ones but never the newest. */
  #keep(b: LightBlock): void {
    if (this.#known(b.header.height)) return;
    const newer = b.header.height > (this.#newest?.header.height ?? 0);
    this.#trusted.push(b);
    this.#trusted.sort((x, y) => x.header.height - y.header.height);
    // The oldest stays as long as it can vouch: from there old blocks are reached.
    const oldest = this.#trusted[0];
    if (this.#trusted.length > maxTrusted) this.#trusted.splice(oldest && !expired(oldest, this.#now) ? 1 : 0, 1);
    if (newer) this.#o.save?.(b.raw, b.header.height);
  }
}

/** Whether asking another server is no use. */
function final(error: unknown): boolean {
  return !(error instanceof ProofError) || error.kind === "expired" || error.kind === "fork";
}
