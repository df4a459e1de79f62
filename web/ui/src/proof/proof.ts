/**
 * The page's way to the prover, which works in a worker: everything it answers was proven from
 * the pinned virtual server's id on. A server whose proof does not hold is left for the next one,
 * and named.
 */
import type { Account, Asset, Receipt } from "../souk/leaf.ts";

/** Says how fresh a proven fact is: the signed header that vouches for it. */
export interface At {
  height: number;
  time: number; // ms
}
export type Proven<T> = T & { at: At };

/** A server of the federation. */
export interface Source {
  url: string; // base URL, without a slash at its end
  name: string; // the member's name, or the URL
}

/** Something could not be proven. */
export class ProofError extends Error {
  override readonly name = "ProofError";
  constructor(
    message: string,
    /** refused: a server lied or is broken; unconfirmed: too few servers answer; absent: proven not to be there. */
    readonly kind: "refused" | "unconfirmed" | "absent" | "unreachable" | "fork" | "expired",
    /** The server that is to blame, if one is. */
    readonly server: string | undefined,
  ) {
    super(message);
  }
}

/** What a bank has and what it owes, from its proven leaf (Y-73). */
export interface BankTerms {
  bank: number;
  asset: number;
  network: string;
  coins: bigint;
  liabilities: bigint;
}

export interface ProverOptions {
  id: string; // 64 hexadecimal digits
  founding: Uint8Array; // the contract's bytes, whose hash is the id
  sources: Source[];
  /** Signs a read of the session's account: the header Souk-Read. Absent: public things only. */
  sign?: (method: string, target: string) => string | Promise<string>;
}

export class Prover {
  constructor(readonly options: ProverOptions) {}
  asset(_number: number): Promise<Proven<Asset>> {
    return later();
  }
  market(_number: number): Promise<Proven<object>> {
    return later();
  }
  account(_address: string): Promise<Proven<Account>> {
    return later();
  }
  receipt(_id: string): Promise<Proven<Receipt>> {
    return later();
  }
  order(_id: bigint, _address: string): Promise<Proven<object>> {
    return later();
  }
  trade(_id: bigint, _market: number): Promise<Proven<object>> {
    return later();
  }
  bankTerms(_asset: number): Promise<Proven<BankTerms>> {
    return later();
  }
  depositAddress(_bank: number, _series: number, _index: number, _address: string): Promise<Proven<{ text: string }>> {
    return later();
  }
  newest(): Promise<At> {
    return later();
  }
  /** Servers that were seen to lie, with what they did. */
  liars(): Promise<{ server: string; what: string }[]> {
    return later();
  }
  close(): void {}
}

function later(): Promise<never> {
  return Promise.reject(new ProofError("The prover is not there yet.", "unreachable", undefined));
}
