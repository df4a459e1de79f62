/** What the tests of the core have in common. Nothing of the page imports it. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Allowed, Body, Kind, OrderKind, Side, TIF } from "./body.ts";
import { kinds } from "./body.ts";

/** Reads vectors of another part of the repository; the path begins at its root. */
export function vectors<T>(path: string): T {
  return JSON.parse(readFileSync(resolve(import.meta.dirname, "../../../..", path), "utf8")) as T;
}

/** Numbers that look random and are the same in every run. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** A whole number from 0 to below n. */
  below(n: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * n);
  }

  bytes(n: number): Uint8Array {
    return Uint8Array.from({ length: n }, () => this.below(256));
  }

  /** 64 bits, small and large ones alike. */
  u64(): bigint {
    return this.bytes(8).reduce((sum, b) => sum * 256n + BigInt(b), 0n) >> BigInt(this.below(64));
  }

  u32(): number {
    return Number(this.u64() & 0xffffffffn);
  }

  flag(): boolean {
    return this.below(2) === 1;
  }

  one<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }

  ascii(most: number): string {
    return String.fromCharCode(...Array.from({ length: this.below(most + 1) }, () => 0x21 + this.below(0x5e)));
  }
}

/** A body of a kind with random values, of the form that the encoding takes. */
export function randomBody(r: Random, kind: Kind): Body {
  const sides: Side[] = ["buy", "sell"];
  const orders: OrderKind[] = ["limit", "market", "stop", "stop-limit", "take-profit", "take-profit-limit"];
  const tifs: TIF[] = ["gtc", "gtd", "ioc", "fok"];
  const target = () => (r.flag() ? { order: r.u64() + 1n, client: "" } : { order: 0n, client: "x" + r.ascii(35) });
  const allowed = (): Allowed[] => Array.from({ length: r.below(17) }, () => ({ bank: r.u32(), output: r.bytes(r.below(65)) }));
  const memo = () => r.one(["", "rent", "für März", "💶".repeat(32)]);
  const all: { [K in Kind]: () => Extract<Body, { kind: K }> } = {
    transfer: () => ({ kind: "transfer", to: r.bytes(20), asset: r.u32(), amount: r.u64(), memo: memo() }),
    place: () => ({
      kind: "place", market: r.u32(), side: r.one(sides), order: r.one(orders), tif: r.one(tifs), postOnly: r.flag(), price: r.u64(),
      quantity: r.u64(), quote: r.u64(), trigger: r.u64(), expiry: r.u64(), client: r.ascii(36),
    }),
    "place-oco": () => ({
      kind: "place-oco", market: r.u32(), side: r.one(sides), stopLimit: r.flag(), quantity: r.u64(), limit: r.u64(), trigger: r.u64(),
      price: r.u64(), expiry: r.u64(), limitClient: r.ascii(36), stopClient: r.ascii(36),
    }),
    cancel: () => ({ kind: "cancel", target: target() }),
    "cancel-all": () => ({ kind: "cancel-all", market: r.u32() }),
    "cancel-all-after": () => ({ kind: "cancel-all-after", delay: r.u64() }),
    amend: () => ({ kind: "amend", target: target(), price: r.u64(), quantity: r.u64() }),
    "add-delegate": () => ({
      kind: "add-delegate", key: r.bytes(32), scopes: r.below(256), expiry: r.u64(),
      markets: [...new Set(Array.from({ length: r.below(65) }, () => r.below(1000)))].sort((a, b) => a - b),
    }),
    "remove-delegate": () => ({ kind: "remove-delegate", key: r.bytes(32) }),
    rotate: () => ({ kind: "rotate", key: r.bytes(32) }),
    "cancel-rotation": () => ({ kind: "cancel-rotation" }),
    lock: () => ({
      kind: "lock", payee: r.bytes(20), asset: r.u32(), amount: r.u64(), hash: r.bytes(32), deadline: r.u64(), arbiter: r.bytes(20),
      window: r.u64(), memo: memo(),
    }),
    claim: () => ({ kind: "claim", escrow: r.u64(), preimage: r.bytes(r.below(65)) }),
    refund: () => ({ kind: "refund", escrow: r.u64() }),
    dispute: () => ({ kind: "dispute", escrow: r.u64() }),
    resolve: () => ({ kind: "resolve", escrow: r.u64(), pay: r.flag() }),
    "set-withdrawals": () => ({ kind: "set-withdrawals", delay: r.u64(), only: r.flag(), allowed: allowed(), salt: r.bytes(16) }),
    "cancel-withdrawal": () => ({ kind: "cancel-withdrawal", withdrawal: r.u64() }),
    "new-address": () => ({ kind: "new-address", bank: r.u32(), salt: r.bytes(16) }),
    withdraw: () => ({ kind: "withdraw", bank: r.u32(), output: r.bytes(r.below(65)), amount: r.u64(), maxFee: r.u64(), salt: r.bytes(16) }),
    donate: () => ({ kind: "donate", bank: r.u32(), amount: r.u64() }),
  };
  return all[kind]();
}

export const allKinds = Object.keys(kinds) as Kind[];

/** What a function throws; fails if it does not. */
export function thrown(work: () => unknown): Error {
  try {
    work();
  } catch (error) {
    if (error instanceof Error) return error;
  }
  throw new TypeError("nothing was thrown");
}
