/** Values of proven leaves and of proven results, read out of their bytes. */

export interface Asset {
  number: number;
  symbol: string;
  decimals: number;
  issuer: Uint8Array; // 20 zero bytes: the virtual server itself
  contract: Uint8Array;
  maxSupply: bigint;
  supply: bigint;
  locked: bigint;
  fees: bigint;
  dust: bigint;
  reserve: bigint;
}
export interface Delegate {
  key: Uint8Array;
  scopes: number;
  expiry: bigint; // ms, zero for never
  markets: number[]; // empty: all
}
export interface Balance {
  asset: number;
  available: bigint;
  held: bigint;
}
export interface Account {
  number: number;
  owner: Uint8Array | undefined; // its key, if it has signed anything yet
  rotation: { key: Uint8Array; due: bigint } | undefined;
  timer: bigint; // ms when all orders are cancelled; zero for never
  delegates: Delegate[];
  balances: Balance[];
}
export interface Receipt {
  id: Uint8Array;
  code: number;
  height: bigint;
  time: bigint;
  number: bigint;
  filled: bigint;
  cost: bigint;
  fee: bigint;
  status: number;
}
