/**
 * Says in plain words what a command does. It reads the very bytes that are to be signed, and
 * never what the form believes they say; numbers become words only by facts that were proven.
 */

/** What is known of an asset, by its number. */
export interface AssetFacts {
  number: number;
  symbol: string;
  decimals: number;
}

/** What is known of a market, by its number. */
export interface MarketFacts {
  number: number;
  base: AssetFacts;
  quote: AssetFacts;
}

/** What is known of a bank, by its number. */
export interface BankFacts {
  number: number;
  asset: AssetFacts;
  network: string; // "bitcoin", "litecoin-regtest", ...
}

/** What is known of a live order of the account. */
export interface OrderFacts {
  id: bigint;
  market: number;
  side: "buy" | "sell";
  price: bigint;
  quantity: bigint;
}

/** What describe may believe. Everything in it was proven, or it is undefined. */
export interface World {
  vsid: Uint8Array; // the pinned virtual server
  account: Uint8Array; // the session's account
  now: number; // ms
  asset(number: number): AssetFacts | undefined;
  market(number: number): MarketFacts | undefined;
  bank(number: number): BankFacts | undefined;
  order?(id: bigint): OrderFacts | undefined;
  /** The account's own key, if the command is to remove or replace one. */
  ownKey?: Uint8Array;
}

/** A line of a description. */
export interface Line {
  label: string;
  value: string;
  /** The whole value where `value` is shortened; Confirm shows it too, for it is what counts. */
  full?: string;
}

/** What the bytes do. */
export interface Description {
  title: string;
  lines: Line[];
  warnings: string[];
  /** Money or power leaves the account by it: never sent without Confirm. */
  moves: boolean;
}

/** The bytes cannot be said in words with what is proven: they must not be signed. */
export class Unclear extends Error {
  override readonly name = "Unclear";
}

/** Says what sign bytes do (signBytes). Throws BadCommand or Unclear, and then nothing is signed. */
export function describe(_toSign: Uint8Array, _world: World): Description {
  throw new Unclear("This page cannot say what that does.");
}
