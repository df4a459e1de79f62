/**
 * The founding contract: its hash is the id of the virtual server (09, H-61), so who knows the id
 * need not believe anybody about what stands in it.
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { BadBytes, Reader, concat, encodeUtf8, equal, utf8 } from "./bytes.ts";
import type { AssetFacts, MarketFacts } from "./describe.ts";
import { coreText } from "./text.ts";

/** The contract is not that of the virtual server, or cannot be read. */
export class BadFounding extends Error {
  override readonly name = "BadFounding";
}

export interface FoundingMember {
  name: string;
  operator: Uint8Array;
  server: Uint8Array;
  consensus: Uint8Array; // key with which it signs blocks
  url: string;
  banks: BankKey[];
  card: Uint8Array; // what the operator signed
  signature: Uint8Array;
}

/** A key for the bank on a network, and the proof that somebody has it (Y-87). */
export interface BankKey {
  network: string;
  key: Uint8Array; // 33 bytes
  chainCode: Uint8Array;
  possession: Uint8Array;
}

export interface FoundingAsset extends AssetFacts {
  maxSupply: bigint;
  issuer: Uint8Array;
  contract: string;
}

/** The terms of a market (M-1). */
export interface Terms {
  tick: bigint;
  lot: bigint;
  minNotional: bigint;
  makerPPM: number;
  takerPPM: number;
  reservePPM: number;
  bandPPM: number;
  reference: bigint;
}

export interface FoundingMarket extends MarketFacts {
  terms: Terms;
}

/** A bank as the contract has it; banks are numbered from 1 in their order. */
export interface FoundingBank {
  number: number;
  symbol: string;
  network: string;
  recovery: BankKey[]; // keys of the holders of a recovery, if there is one
}

export interface Founding {
  id: Uint8Array;
  name: string;
  created: number; // ms
  protocol: number;
  members: FoundingMember[];
  assets: FoundingAsset[]; // numbered from 1 in their order
  markets: FoundingMarket[]; // the same
  banks: FoundingBank[];
  /** Whether it goes on from an earlier virtual server: then assets, markets and banks are those of its state. */
  origin: boolean;
}

const tag = encodeUtf8("souk/founding/v1");
const maxFounding = 1 << 20;

/** The id of the virtual server whose founding contract these bytes are. */
export function foundingId(bytes: Uint8Array): Uint8Array {
  return sha256(concat(Uint8Array.of(tag.length), tag, bytes));
}

/** Reads the founding contract of the virtual server with this id, or throws BadFounding. */
export function readFounding(id: Uint8Array, bytes: Uint8Array): Founding {
  if (bytes.length > maxFounding) throw new BadFounding(coreText.founding.long);
  if (!equal(foundingId(bytes), id)) throw new BadFounding(coreText.founding.other);
  try {
    return parse(id, bytes);
  } catch (error) {
    if (error instanceof BadBytes) throw new BadFounding(coreText.founding.unread);
    throw error;
  }
}

function parse(id: Uint8Array, bytes: Uint8Array): Founding {
  const r = new Reader(bytes);
  const name = r.text8(32);
  const created = Number(r.u64());
  const protocol = r.u32();
  r.u8(); // profile
  const members = list(r.u8(), () => readCard(r));
  const assets = list(r.u16(), (i): FoundingAsset => {
    const [symbol, decimals, maxSupply] = [r.text8(10), r.u8(), r.u64()];
    return { number: i + 1, symbol, decimals, maxSupply, contract: readContract(r), issuer: r.take(20) };
  });
  const markets = list(r.u16(), (i): FoundingMarket => {
    const [base, quote] = [find(assets, r.text8(10)), find(assets, r.text8(10))];
    return { number: i + 1, base, quote, terms: readTerms(r) };
  });
  list(r.u16(), () => r.text8(10)); // reserved symbols
  r.take(4 + 8 + 4 + 4 + 8 + 8 + 4 + 4); // parameters: votes may have changed them
  const origin = r.flag();
  if (origin) r.take(32 + 8 + 32);
  const banks = r.left === 0 ? [] : list(r.u8(), (i) => readBank(r, i + 1));
  r.end();
  if (members.length === 0) throw new BadBytes("there are no members");
  return { id, name, created, protocol, members, assets, markets, banks, origin };
}

function list<T>(n: number, read: (i: number) => T): T[] {
  const items: T[] = [];
  for (let i = 0; i < n; i++) items.push(read(i));
  return items;
}

function find(assets: readonly FoundingAsset[], symbol: string): FoundingAsset {
  const asset = assets.find((a) => a.symbol === symbol);
  if (!asset) throw new BadBytes("a market is of an asset that there is not");
  return asset;
}

function readContract(r: Reader): string {
  return utf8(r.take(r.u16()));
}

/** Reads the terms of a market as contracts and leaves have them. */
export function readTerms(r: Reader): Terms {
  return {
    tick: r.u64(), lot: r.u64(), minNotional: r.u64(), makerPPM: r.u32(), takerPPM: r.u32(), reservePPM: r.u32(), bandPPM: r.u32(),
    reference: r.u64(),
  };
}

function readKey(r: Reader, network: string): BankKey {
  return { network, key: r.take(33), chainCode: r.take(32), possession: r.take(64) };
}

function readCard(r: Reader): FoundingMember {
  const front = r.copy();
  // A card that has keys for banks begins with a zero byte, others with the length of a name (Y-85).
  let n = r.u8();
  const withBanks = n === 0;
  if (withBanks) n = r.u8();
  const card = { name: utf8(r.take(n)), operator: r.take(32), server: r.take(32), consensus: r.take(32), p2p: r.text8(255), url: r.text8(255) };
  r.u64(); // when it was made
  const banks = withBanks ? list(r.u8(), () => readKey(r, r.text8(32))) : [];
  const unsigned = front.take(front.left - r.left);
  return { ...card, banks, card: unsigned, signature: r.take(64) };
}

function readBank(r: Reader, number: number): FoundingBank {
  const [symbol, network] = [r.text8(10), r.text8(32)];
  r.take(1 + 5 * 8 + 8 + 4 + 8 + 4 + 32); // wallets, limits, gather, blocks to a bump, cool-down, start
  let recovery: BankKey[] = [];
  if (r.flag()) {
    r.u8(); // how many of the keys sign
    recovery = list(r.u8(), () => readKey(r, network));
    r.take(8); // blocks, intervals
  }
  return { number, symbol, network, recovery };
}
