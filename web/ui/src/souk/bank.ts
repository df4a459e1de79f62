/** What a bank's leaves say: the bank, its series, addresses, coins and batches (Y-91, Y-92). */
import { sha256 } from "@noble/hashes/sha2.js";
import { BadBytes, Reader, Writer } from "./bytes.ts";

export interface Limits {
  minDeposit: bigint;
  minWithdrawal: bigint;
  maxPerHour: bigint;
  delayAbove: bigint;
  delay: bigint; // ms
}

export interface Bank {
  number: number;
  asset: number;
  network: string;
  limits: Limits;
  next: Limits | undefined; // to come
  nextAt: bigint; // ms; zero if none is to come
  tip: number; // newest agreed block of its chain
  books: bigint; // what it owes
  lastBatch: bigint;
  series: number; // how many there are
  lifted: boolean; // a vote has lifted the halt for it
}

/** An extended public key. */
export interface MemberKey {
  key: Uint8Array; // 33 bytes
  chainCode: Uint8Array; // 32 bytes
}

export interface Series {
  bank: number;
  number: number;
  opened: bigint;
  allotted: number; // deposit addresses, with the indexes below
  k: number; // so many of the keys sign
  members: MemberKey[];
  recovery: { k: number; keys: MemberKey[]; sequence: number } | undefined;
}

export interface Address {
  account: number;
  used: boolean; // something paid to it was credited
  salt: Uint8Array;
}

export interface Outpoint {
  tx: Uint8Array; // in the chain's order of bytes
  index: number;
}

export interface Coin {
  bank: number;
  at: Outpoint;
  state: "seen" | "free" | "promised" | "gone";
  unmined: boolean;
  stolen: boolean;
  aside: boolean;
  height: number; // where it stands; zero for nowhere
  amount: bigint;
  batch: bigint;
}

export interface Batch {
  number: bigint;
  child: boolean; // a child spends its change
  settled: boolean;
  inputs: Outpoint[]; // of all its versions
  /** What its newest version brings back; zero if a child spends that. */
  back: bigint;
}

const maxKeys = 15;

function limits(r: Reader): Limits {
  return { minDeposit: r.u64(), minWithdrawal: r.u64(), maxPerHour: r.u64(), delayAbove: r.u64(), delay: r.u64() };
}

export function parseBank(number: number, value: Uint8Array): Bank {
  const r = new Reader(value);
  const [asset, network, wallets, now] = [r.u32(), r.text8(32), r.u8(), limits(r)];
  r.take(8 + 4 + 8 + 4 + 32); // gather, blocks to a bump, cool-down, start
  const [next, nextAt, tip] = [limits(r), r.u64(), r.u32()];
  r.take(4 + 4); // oldest block, last block judged
  const books = r.u64();
  r.take(8 + 8 + 8); // used of the hour, at, last look
  const [lastBatch, series] = [r.u64(), r.u32()];
  r.u8(); // what it waits for
  const lifted = r.flag();
  r.take(4 * wallets); // change addresses used
  r.end();
  if (asset === 0 || series === 0 || wallets === 0) throw new BadBytes("this is no bank's leaf");
  return { number, asset, network, limits: now, next: nextAt === 0n ? undefined : next, nextAt, tip, books, lastBatch, series, lifted };
}

export function parseSeries(bank: number, number: number, value: Uint8Array): Series {
  const r = new Reader(value);
  const [opened, allotted, who] = [r.u64(), r.u32(), r.u16()];
  r.take(4 * who);
  const { k, keys: members } = readKeys(r);
  let recovery: Series["recovery"];
  if (r.flag()) recovery = { sequence: r.u32(), ...readKeys(r) };
  r.end();
  const all = [...members, ...(recovery?.keys ?? [])].map((m) => String(m.key));
  if (who !== members.length || new Set(all).size !== all.length) throw new BadBytes("the keys of a series do not belong together");
  if (recovery && !goodLock(recovery.sequence)) throw new BadBytes("a series has a lock that is none");
  return { bank, number, opened, allotted, k, members, recovery };
}

function readKeys(r: Reader): { k: number; keys: MemberKey[] } {
  const [k, n] = [r.u8(), r.u8()];
  if (n === 0 || n > maxKeys || k === 0 || k > n) throw new BadBytes("a series has too many keys, or too few");
  return { k, keys: Array.from({ length: n }, () => ({ key: r.take(33), chainCode: r.take(32) })) };
}

/** A relative lock of blocks or of intervals of 512 seconds. */
function goodLock(sequence: number): boolean {
  const count = sequence >= 1 << 22 ? sequence - (1 << 22) : sequence;
  return count > 0 && count <= 0xffff;
}

export function parseAddress(value: Uint8Array): Address {
  const r = new Reader(value);
  const a = { account: r.u32(), used: r.flag(), salt: r.take(16) };
  r.end();
  if (a.account === 0) throw new BadBytes("this is no address' leaf");
  return a;
}

/** What the key of a coin's leaf is made of. */
export function coinDigest(bank: number, at: Outpoint): Uint8Array {
  return sha256(new Writer().u32(bank).raw(at.tx, 32).u32(at.index).done());
}

/** An outpoint as the API writes it: the transaction's id, last byte first, and the index. */
export function parseOutpoint(text: string): Outpoint {
  const parts = /^([0-9a-f]{64}):(0|[1-9][0-9]{0,9})$/.exec(text);
  const index = Number(parts?.[2]);
  if (!parts?.[1] || index > 0xffffffff) throw new BadBytes("this is no outpoint");
  const tx = Uint8Array.from(parts[1].match(/../g) ?? [], (pair) => Number.parseInt(pair, 16)).reverse();
  return { tx, index };
}

const states = ["seen", "free", "promised", "gone"] as const;

export function parseCoin(value: Uint8Array): Coin {
  const r = new Reader(value);
  const [bank, at] = [r.u32(), { tx: r.take(32), index: r.u32() }];
  const [state, flags, height] = [states[r.u8()], r.u8(), r.u32()];
  r.take(32); // hash of the block
  const amount = r.u64();
  r.take(4 + 1 + 4 + 1 + 1); // series, branch, index, peg-out, wallet
  const batch = r.u64();
  // What members said of it is left: nothing behind here changes what the coin is.
  if (!state || flags > 15) throw new BadBytes("this is no coin's leaf");
  return {
    bank, at, state, unmined: (flags & 2) !== 0, stolen: (flags & 4) !== 0, aside: (flags & 8) !== 0, height, amount, batch,
  };
}

export function parseBatch(number: bigint, value: Uint8Array): Batch {
  const r = new Reader(value);
  r.take(1 + 1 + 8 + 1 + 4 + 4); // kind, wallet, paid, place of the change, its series and index
  const [child, settled] = [r.flag(), r.u8() !== 0];
  r.take(4 + 4 + 32); // height, place
  const inputs: Outpoint[] = [];
  for (let n = r.u16(); n > 0; n--) {
    inputs.push({ tx: r.take(32), index: r.u32() });
    r.take(8 + 4 + 1 + 4 + 1); // amount, series, branch, index, wallet
  }
  if (r.flag()) r.take(4 * inputs.length);
  for (let n = r.u16(); n > 0; n--) {
    r.u64();
    r.bytes8(255);
    r.take(16);
  }
  const versions = r.u8();
  let change = 0n;
  for (let n = versions; n > 0; n--) {
    r.take(8 + 8);
    change = r.u64();
    r.take(32 + 4 + 8);
  }
  r.end();
  if (inputs.length === 0 || versions === 0) throw new BadBytes("this is no batch's leaf");
  return { number, child, settled, inputs, back: child ? 0n : change };
}
