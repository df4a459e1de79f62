/** Values of proven leaves and of proven results, read out of their bytes. */
import { BadBytes, Reader, compare } from "./bytes.ts";
import { type Terms, readTerms } from "./founding.ts";
import type { Side } from "./body.ts";

export interface Asset {
  number: number;
  symbol: string;
  decimals: number;
  issuer: Uint8Array; // 20 zero bytes: the virtual server itself
  contract: Uint8Array; // hash of the issuer's promise
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

export interface Market {
  number: number;
  base: number; // number of the asset
  quote: number;
  baseDecimals: number;
  paused: boolean;
  last: bigint; // price of the last trade; zero before the first
  terms: Terms;
}

export interface Order {
  id: bigint;
  market: number;
  owner: number; // number of the account
  side: Side;
  kind: number;
  tif: number;
  postOnly: boolean;
  status: number;
  price: bigint;
  quantity: bigint;
  trigger: bigint;
  expiry: bigint;
  filled: bigint;
  client: string;
}

export interface Receipt {
  id: Uint8Array; // of the command
  code: number;
  height: bigint;
  time: bigint;
  number: bigint;
  filled: bigint;
  cost: bigint;
  fee: bigint;
  status: number;
}

export interface Trade {
  id: bigint;
  market: number;
  price: bigint;
  quantity: bigint;
  maker: bigint; // orders
  taker: bigint;
  taking: Side; // the taker's side
  inner: boolean; // neither of the two had waited
  height: bigint;
  time: bigint;
}

/** Why the trades of a block in a market have their prices (M-90). */
export interface Auction {
  market: number;
  reference: bigint; // price before the block
  bid: bigint; // best that waited before the auction; 0: nobody did
  ask: bigint;
  price: bigint; // of the inner cross; 0: there was none
  volume: bigint; // lots, as the next two
  demand: bigint;
  supply: bigint;
  height: bigint;
  time: bigint;
}

export interface Clock {
  height: bigint;
  time: bigint;
  results: Uint8Array; // root of the block's results
}

/** Makes the key of a leaf: a byte for its kind, and numbers of 4 or 8 bytes (S-26). */
function leafKey(kind: number, ...parts: (number | bigint | Uint8Array)[]): Uint8Array {
  const key = new Uint8Array(32);
  const view = new DataView(key.buffer);
  key[0] = kind;
  let at = 1;
  for (const p of parts) {
    if (typeof p === "number") {
      view.setUint32(at, p);
      at += 4;
    } else if (typeof p === "bigint") {
      view.setBigUint64(at, p);
      at += 8;
    } else {
      key.set(p, at);
      at += p.length;
    }
  }
  return key;
}

export const keys = {
  clock: () => leafKey(0x01),
  asset: (n: number) => leafKey(0x02, n),
  account: (address: Uint8Array) => leafKey(0x03, address),
  market: (n: number) => leafKey(0x04, n),
  order: (id: bigint) => leafKey(0x05, id),
  bank: (n: number) => leafKey(0x0c, n),
  series: (bank: number, n: number) => leafKey(0x0d, bank, n),
  address: (bank: number, series: number, index: number) => leafKey(0x0e, bank, series, index),
  coin: (digest: Uint8Array) => leafKey(0x10, digest.slice(0, 31)),
  batch: (bank: number, n: bigint) => leafKey(0x12, bank, n),
  settings: (account: number) => leafKey(0x14, account),
  custody: () => leafKey(0x17),
} as const;

/** Reads a whole value. */
function whole<T>(value: Uint8Array, read: (r: Reader) => T): T {
  const r = new Reader(value);
  const result = read(r);
  r.end();
  return result;
}

const maxSupply = (1n << 63n) - 1n;

export function parseAsset(number: number, value: Uint8Array): Asset {
  return whole(value, (r) => {
    const a = {
      number, symbol: r.text8(10), decimals: r.u8(), issuer: r.take(20), contract: r.take(32), maxSupply: r.u64(), supply: r.u64(),
      locked: r.u64(), fees: r.u64(), dust: r.u64(), reserve: r.u64(),
    };
    const sums = [a.maxSupply, a.supply, a.locked, a.fees, a.dust, a.reserve];
    if (!/^[A-Z][A-Z0-9]{1,9}$/.test(a.symbol) || a.decimals > 18 || a.maxSupply === 0n || a.supply > a.maxSupply || sums.some((s) => s > maxSupply)) {
      throw new BadBytes("this is no asset's leaf");
    }
    return a;
  });
}

const [hasOwner, hasFloor, hasRotation, hasTimer] = [1, 2, 4, 8];

export function parseAccount(value: Uint8Array): Account {
  return whole(value, (r) => {
    const number = r.u32();
    const flags = r.u8();
    if (number === 0 || flags > 15) throw new BadBytes("this is no account's leaf");
    let owner: Uint8Array | undefined;
    if (flags & hasOwner) {
      owner = r.take(32);
      skipWindow(r);
    }
    if (flags & hasFloor) r.u64();
    const rotation = flags & hasRotation ? { key: r.take(32), due: r.u64() } : undefined;
    const timer = flags & hasTimer ? r.u64() : 0n;
    const delegates = readDelegates(r);
    const balances: Balance[] = [];
    for (let n = r.u32(); n > 0; n--) {
      const b = { asset: r.u32(), available: r.u64(), held: r.u64() };
      if (b.asset <= (balances.at(-1)?.asset ?? 0) || b.available + b.held === 0n || b.available + b.held > maxSupply) {
        throw new BadBytes("balances of an account are out of order");
      }
      balances.push(b);
    }
    return { number, owner, rotation, timer, delegates, balances };
  });
}

function readDelegates(r: Reader): Delegate[] {
  const delegates: Delegate[] = [];
  for (let n = r.u8(); n > 0; n--) {
    const d: Delegate = { key: r.take(32), scopes: r.u8(), expiry: r.u64(), markets: [] };
    for (let m = r.u8(); m > 0; m--) d.markets.push(r.u32());
    skipWindow(r);
    const last = delegates.at(-1);
    if (last && compare(last.key, d.key) >= 0) throw new BadBytes("delegates of an account are out of order");
    delegates.push(d);
  }
  return delegates;
}

/** A window of used nonces (L-73). */
function skipWindow(r: Reader): void {
  r.u64();
  r.bytes8(255);
}

export function parseMarket(number: number, value: Uint8Array): Market {
  return whole(value, (r) => ({
    number, base: r.u32(), quote: r.u32(), baseDecimals: r.u8(), paused: r.flag(), last: r.u64(), terms: readTerms(r),
  }));
}

export function parseOrder(id: bigint, value: Uint8Array): Order {
  return whole(value, (r) => {
    const [market, owner, side] = [r.u32(), r.u32(), readSide(r)];
    const [kind, tif, postOnly, status] = [r.u8(), r.u8(), r.flag(), r.u8()];
    const [price, quantity, trigger, expiry] = [r.u64(), r.u64(), r.u64(), r.u64()];
    r.take(5 * 8); // nonce, sibling, placed, time, joined
    const filled = r.u64();
    r.take(6 * 8 + 4 + 8); // sums of costs and fees, what was paid, what is held
    return { id, market, owner, side, kind, tif, postOnly, status, price, quantity, trigger, expiry, filled, client: r.text8(36) };
  });
}

function readSide(r: Reader): Side {
  const side = (["buy", "sell"] as const)[r.u8() - 1];
  if (!side) throw new BadBytes("this is no side of a market");
  return side;
}

export function parseReceipt(item: Uint8Array): Receipt {
  return whole(item, (r) => {
    if (r.u8() !== 1) throw new BadBytes("this result is no receipt");
    return {
      id: r.take(32), code: r.u16(), height: r.u64(), time: r.u64(), number: r.u64(), filled: r.u64(), cost: r.u64(), fee: r.u64(),
      status: r.u8(),
    };
  });
}

export function parseTrade(item: Uint8Array): Trade {
  return whole(item, (r) => {
    if (r.u8() !== 2) throw new BadBytes("this result is no trade");
    return {
      id: r.u64(), market: r.u32(), price: r.u64(), quantity: r.u64(), maker: r.u64(), taker: r.u64(), taking: readSide(r), inner: r.flag(),
      height: r.u64(), time: r.u64(),
    };
  });
}

export function parseAuction(item: Uint8Array): Auction {
  return whole(item, (r) => {
    if (r.u8() !== 3) throw new BadBytes("this result is no auction");
    return {
      market: r.u32(), reference: r.u64(), bid: r.u64(), ask: r.u64(), price: r.u64(), volume: r.u64(), demand: r.u64(), supply: r.u64(),
      height: r.u64(), time: r.u64(),
    };
  });
}

export function parseClock(value: Uint8Array): Clock {
  return whole(value, (r) => {
    const clock = { height: r.u64(), time: r.u64(), results: r.take(32) };
    r.take(4 + 8 + 4 + 4 + 8 + 8 + 4 + 4); // parameters
    return clock;
  });
}
