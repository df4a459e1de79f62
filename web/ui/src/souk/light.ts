/**
 * Light blocks: a signed header with its validators and those of the next height, as CometBFT has
 * them (C-60), and the rules by which a trusted one makes another one trusted (C-61).
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { ed25519 } from "@noble/curves/ed25519.js";
import { BadBytes, concat, encodeUtf8, equal, hex, utf8 } from "./bytes.ts";
import { Message, bytesField, encodeVarint, fixedField, messageField, numberField, part } from "./proto.ts";

/** A point in time in ns since 1970. */
export type Nanos = bigint;

export interface Validator {
  address: Uint8Array; // 20 bytes
  key: Uint8Array; // 32 bytes, Ed25519
  power: bigint;
}

interface BlockId {
  hash: Uint8Array;
  total: bigint;
  parts: Uint8Array;
}

interface CommitSig {
  flag: bigint;
  address: Uint8Array;
  time: Time;
  signature: Uint8Array;
}

interface Time {
  seconds: bigint;
  nanos: bigint;
}

export interface Header {
  chain: string;
  height: number;
  time: Nanos;
  last: BlockId;
  validators: Uint8Array; // hash
  next: Uint8Array; // hash of those of the next height
  root: Uint8Array; // the state root after the block before
}

export interface LightBlock {
  raw: Uint8Array;
  header: Header;
  hash: Uint8Array; // of the header
  commit: { round: bigint; id: BlockId; signatures: CommitSig[] };
  validators: Validator[];
  next: Validator[];
}

/** A block does not follow from what is trusted. */
export class NotProven extends Error {
  override readonly name: string = "NotProven";
}

/** Too few of the trusted validators signed: a block in between may help. */
export class TooFar extends NotProven {
  override readonly name = "TooFar";
}

/** Everything that is trusted is older than the trust period. */
export class Expired extends Error {
  override readonly name = "Expired";
}

export const trustPeriod: Nanos = 14n * 24n * 3600n * 1_000_000_000n;
const maxDrift: Nanos = 10n * 1_000_000_000n;
const maxLightBlock = 1 << 20;
const maxValidators = 1000;
const [absentFlag, commitFlag, nilFlag] = [1n, 2n, 3n];
const zeroTime = -62135596800n; // the year 1: CometBFT writes it where there is no time
const maxPower = (1n << 63n) / 8n;

/** The name under which a virtual server's members sign: half of its id (C-1). */
export function chainId(vsid: Uint8Array): string {
  return hex(vsid.slice(0, 20));
}

/** Reads a light block of a chain, and checks that its parts belong together. It checks no signature. */
export function decodeLightBlock(chain: string, raw: Uint8Array): LightBlock {
  if (raw.length > maxLightBlock) throw new BadBytes("a light block is too long");
  const cursor = { at: 0 };
  const head = part(raw, cursor);
  const tail = part(raw, cursor);
  if (cursor.at !== raw.length) throw new BadBytes("there are bytes behind a light block");
  const block = new Message(head, { 1: "bytes", 2: "bytes" });
  const signed = new Message(block.bytes(1), { 1: "bytes", 2: "bytes" });
  const { header, hash } = decodeHeader(signed.bytes(1));
  const { height, ...commit } = decodeCommit(signed.bytes(2));
  const validators = decodeSet(block.bytes(2));
  const next = decodeSet(tail);
  if (header.chain !== chain) throw new BadBytes("a header belongs to another chain");
  if (height !== BigInt(header.height)) throw new BadBytes("header and commit are of different heights");
  if (!equal(commit.id.hash, hash)) throw new BadBytes("the commit is of another header");
  if (!equal(setHash(validators), header.validators)) throw new BadBytes("the validators are not the header's");
  if (!equal(setHash(next), header.next)) throw new BadBytes("the next validators are not the header's");
  return { raw, header, hash, commit, validators, next };
}

function decodeHeader(data: Uint8Array): { header: Header; hash: Uint8Array } {
  const kinds = { 1: "bytes", 2: "bytes", 3: "varint", 4: "bytes", 5: "bytes" } as const;
  const m = new Message(data, { ...kinds, ...Object.fromEntries([6, 7, 8, 9, 10, 11, 12, 13, 14].map((n) => [n, "bytes"])) });
  const version = new Message(m.bytes(1), { 1: "varint", 2: "varint" });
  if (version.uint(1) !== 11n) throw new BadBytes("a header is of another version of blocks");
  const chain = utf8(m.bytes(2));
  const height = m.int(3);
  if (height <= 0n || height > BigInt(Number.MAX_SAFE_INTEGER)) throw new BadBytes("a header has no height");
  const time = decodeTime(m.bytes(4));
  const last = decodeBlockId(m.bytes(5));
  for (const n of [6, 7, 8, 9, 10, 12, 13]) if (![0, 32].includes(m.bytes(n).length)) throw new BadBytes("a hash in a header has another length");
  if (m.bytes(8).length !== 32 || m.bytes(9).length !== 32) throw new BadBytes("a header names no validators");
  if (m.bytes(14).length !== 20) throw new BadBytes("a header names no proposer");
  if (m.bytes(11).length !== 32) throw new BadBytes("a header states no root");
  const hash = treeHash([
    concat(numberField(1, version.uint(1)), numberField(2, version.uint(2))),
    bytesField(1, encodeUtf8(chain)),
    numberField(1, height),
    encodeTime(time),
    encodeBlockId(last),
    ...[6, 7, 8, 9, 10, 11, 12, 13, 14].map((n) => bytesField(1, m.bytes(n))),
  ]);
  const header = {
    chain, height: Number(height), time: time.seconds * 1_000_000_000n + time.nanos, last,
    validators: m.bytes(8), next: m.bytes(9), root: m.bytes(11),
  };
  return { header, hash };
}

function decodeTime(data: Uint8Array): Time {
  const m = new Message(data, { 1: "varint", 2: "varint" });
  const t = { seconds: m.int(1), nanos: m.int(2) };
  if (t.seconds < zeroTime || t.seconds >= 253402300800n || t.nanos < 0n || t.nanos >= 1_000_000_000n) throw new BadBytes("a time is out of range");
  return t;
}

function encodeTime(t: Time): Uint8Array {
  return concat(numberField(1, t.seconds), numberField(2, t.nanos));
}

function decodeBlockId(data: Uint8Array): BlockId {
  const m = new Message(data, { 1: "bytes", 2: "bytes" });
  const parts = new Message(m.bytes(2), { 1: "varint", 2: "bytes" });
  const id = { hash: m.bytes(1), total: parts.uint(1), parts: parts.bytes(2) };
  if (![0, 32].includes(id.hash.length) || ![0, 32].includes(id.parts.length) || id.total >= 1n << 32n) throw new BadBytes("a block's id is malformed");
  return id;
}

function encodeBlockId(id: BlockId): Uint8Array {
  return concat(bytesField(1, id.hash), messageField(2, concat(numberField(1, id.total), bytesField(2, id.parts))));
}

function decodeCommit(data: Uint8Array): LightBlock["commit"] & { height: bigint } {
  const m = new Message(data, { 1: "varint", 2: "varint", 3: "bytes", 4: "many" });
  const [height, round] = [m.int(1), m.int(2)];
  if (round < 0n || round >= 1n << 31n) throw new BadBytes("a commit has no round");
  const signatures = m.all(4).map((s): CommitSig => {
    const f = new Message(s, { 1: "varint", 2: "bytes", 3: "bytes", 4: "bytes" });
    const sig = { flag: f.uint(1), address: f.bytes(2), time: decodeTime(f.bytes(3)), signature: f.bytes(4) };
    const silent = sig.address.length === 0 && sig.signature.length === 0 && sig.time.seconds === zeroTime && sig.time.nanos === 0n;
    const given = sig.address.length === 20 && sig.signature.length === 64;
    if (!(sig.flag === absentFlag ? silent : (sig.flag === commitFlag || sig.flag === nilFlag) && given)) throw new BadBytes("a signature is malformed");
    return sig;
  });
  if (signatures.length === 0 || signatures.length > maxValidators) throw new BadBytes("a commit has no signatures");
  return { height, round, id: decodeBlockId(m.bytes(3)), signatures };
}

/** Reads a set of validators. Proposer priorities are nobody's business here, and total powers are added up. */
function decodeSet(data: Uint8Array): Validator[] {
  const m = new Message(data, { 1: "many", 2: "bytes", 3: "varint" });
  const set = m.all(1).map(decodeValidator);
  if (set.length === 0 || set.length > maxValidators) throw new BadBytes("there are no validators");
  if (new Set(set.map((v) => hex(v.address))).size !== set.length) throw new BadBytes("a validator stands there twice");
  if (powerOf(set) > maxPower) throw new BadBytes("validators have too much power");
  const proposer = decodeValidator(m.bytes(2));
  if (!set.some((v) => equal(v.address, proposer.address))) throw new BadBytes("the proposer is no validator");
  return set;
}

function decodeValidator(data: Uint8Array): Validator {
  const m = new Message(data, { 1: "bytes", 2: "bytes", 3: "varint", 4: "varint" });
  const key = new Message(m.bytes(2), { 1: "bytes" }).bytes(1);
  const power = m.int(3);
  if (key.length !== 32 || power < 0n || !equal(m.bytes(1), validatorAddress(key))) throw new BadBytes("a validator is malformed");
  return { address: m.bytes(1), key, power };
}

export function validatorAddress(key: Uint8Array): Uint8Array {
  return sha256(key).slice(0, 20);
}

/** The hash of a set of validators, in the order in which they stand. */
export function setHash(set: readonly Validator[]): Uint8Array {
  return treeHash(set.map((v) => concat(messageField(1, bytesField(1, v.key)), numberField(2, v.power))));
}

/** Validators with the same power in CometBFT's order: by address. */
export function firstSet(keys: readonly Uint8Array[], power: bigint): Validator[] {
  const set = keys.map((key) => ({ address: validatorAddress(key), key, power }));
  return set.sort((a, b) => (hex(a.address) < hex(b.address) ? -1 : 1));
}

/** The tree of RFC 6962. */
function treeHash(items: readonly Uint8Array[]): Uint8Array {
  if (items.length === 0) return sha256(new Uint8Array());
  const [first] = items;
  if (items.length === 1 && first) return sha256(concat(Uint8Array.of(0), first));
  const left = 2 ** Math.floor(Math.log2(items.length - 1));
  return sha256(concat(Uint8Array.of(1), treeHash(items.slice(0, left)), treeHash(items.slice(left))));
}

function powerOf(set: readonly Validator[]): bigint {
  return set.reduce((sum, v) => sum + v.power, 0n);
}

/** What a validator signs when it decides for a block. */
function voteBytes(b: LightBlock, sig: CommitSig): Uint8Array {
  const vote = concat(
    numberField(1, 2n), // precommit
    fixedField(2, BigInt(b.header.height)),
    fixedField(3, b.commit.round),
    messageField(4, encodeBlockId(b.commit.id)),
    messageField(5, encodeTime(sig.time)),
    bytesField(6, encodeUtf8(b.header.chain)),
  );
  return concat(encodeVarint(BigInt(vote.length)), vote);
}

/** Signatures of a block that were verified: the two sets of a hop have most of them in common. */
type Checked = Map<string, boolean>;

function good(b: LightBlock, v: Validator, sig: CommitSig, checked: Checked): boolean {
  const name = hex(concat(v.key, sig.signature));
  let valid = checked.get(name);
  if (valid === undefined) {
    try {
      valid = ed25519.verify(sig.signature, voteBytes(b, sig), v.key, { zip215: true });
    } catch {
      valid = false;
    }
    checked.set(name, valid);
  }
  return valid;
}

/** Checks that more than two thirds of a block's own validators signed it, or throws NotProven. */
export function checkSigned(b: LightBlock, checked: Checked = new Map()): void {
  const needed = (powerOf(b.validators) * 2n) / 3n;
  if (b.commit.signatures.length !== b.validators.length) throw new NotProven("the block has another number of signatures than of validators");
  let power = 0n;
  for (const [i, sig] of b.commit.signatures.entries()) {
    const v = b.validators[i];
    if (sig.flag !== commitFlag || !v) continue;
    if (!equal(v.address, sig.address)) throw new NotProven("a signature stands at the place of another validator");
    if (!good(b, v, sig, checked)) throw new NotProven("a validator's signature is wrong");
    power += v.power;
    if (power > needed) return;
  }
  throw new NotProven("not more than two thirds of the validators signed the block");
}

/** Whether more than two thirds of a block's own validators signed it. */
export function isSigned(b: LightBlock): boolean {
  try {
    checkSigned(b);
    return true;
  } catch (error) {
    if (error instanceof NotProven) return false;
    throw error;
  }
}

/** Checks that more than a third of the power of trusted validators signed the block, or throws TooFar. */
function checkTrusted(set: readonly Validator[], b: LightBlock, checked: Checked): void {
  const needed = powerOf(set) / 3n;
  const seen = new Set<Validator>();
  let power = 0n;
  for (const sig of b.commit.signatures) {
    if (sig.flag !== commitFlag) continue;
    const v = set.find((x) => equal(x.address, sig.address));
    if (!v) continue;
    if (seen.has(v)) throw new NotProven("a validator signed twice");
    seen.add(v);
    if (!good(b, v, sig, checked)) throw new NotProven("a validator's signature is wrong");
    power += v.power;
    if (power > needed) return;
  }
  throw new TooFar("too few of the validators that are trusted signed the block");
}

/** Whether a block is too old to vouch for others. */
export function expired(b: LightBlock, now: Nanos): boolean {
  return b.header.time + trustPeriod <= now;
}

/** Checks a block of a greater height by one that is trusted. Throws Expired, TooFar or NotProven. */
export function hop(trusted: LightBlock, to: LightBlock, now: Nanos): void {
  if (to.header.height <= trusted.header.height) throw new NotProven("the block is not above the trusted one");
  if (expired(trusted, now)) throw new Expired("everything that is trusted is older than 14 days");
  if (to.header.time <= trusted.header.time) throw new NotProven("the block's time is not after that of the block before");
  if (to.header.time >= now + maxDrift) throw new NotProven("the block's time is in the future");
  const checked: Checked = new Map();
  if (to.header.height === trusted.header.height + 1) {
    if (!equal(to.header.validators, trusted.header.next)) throw new NotProven("the block has other validators than the one before names");
  } else {
    checkTrusted(trusted.validators, to, checked);
  }
  checkSigned(to, checked);
}

/** Checks a block by the one above it, which names its hash. */
export function hopDown(above: LightBlock, below: LightBlock): void {
  if (below.header.time >= above.header.time || !equal(below.hash, above.header.last.hash)) {
    throw new NotProven("the block is not the one before the trusted one");
  }
}
