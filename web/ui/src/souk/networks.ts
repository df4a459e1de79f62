/** The networks of chains that banks are on, and the addresses and outputs of each (docs/spec/12-scripts.md). */
import { sha256 } from "@noble/hashes/sha2.js";
import { bech32, bech32m, checksum, encode, fromGroups, toGroups, valueOf } from "./bech32.ts";
import { concat, equal } from "./bytes.ts";
import { coreText } from "./text.ts";

/** What somebody wrote is no address that the bank can pay to; the message says why and what to do. */
export class BadPayee extends Error {
  override readonly name = "BadPayee";
  constructor(readonly reason: "syntax" | "checksum" | "network" | "mweb" | "template" | "inactive" | "lost", message: string) {
    super(message);
  }
}

export type Chain = "bitcoin" | "litecoin" | "namecoin";

/** One line of the table of networks. Amounts are units of 10^-8 coins. */
export interface Network {
  name: string;
  chain: Chain;
  /** How the network is called in sentences. */
  title: string;
  /** Blocks may end in a HogEx transaction with peg-outs. */
  mweb: boolean;
  /** Units per 1,000 virtual bytes below which nodes do not relay. */
  minRelay: bigint;
  /** Blocks to wait in addition for a payment out of a HogEx. */
  pegOutExtra: number;
  /** Average time between blocks. */
  blockSeconds: number;
  hrp: string;
  p2pkh: number;
  /** First bytes of addresses of script hashes: the first is written, all are read. */
  p2sh: readonly number[];
  segwitHeight: number;
  /** Absent where there is no taproot: anybody could spend such an output. */
  taprootHeight?: number;
  confirmations: readonly { upTo?: bigint; blocks: number }[];
}

const coins = (n: bigint): bigint => n * 100_000_000n;

const rules = {
  bitcoin: { chain: "bitcoin", mweb: false, minRelay: 1000n, pegOutExtra: 0, blockSeconds: 600 },
  litecoin: { chain: "litecoin", mweb: true, minRelay: 1000n, pegOutExtra: 6, blockSeconds: 150 },
  namecoin: { chain: "namecoin", mweb: false, minRelay: 100_000n, pegOutExtra: 0, blockSeconds: 600 },
} as const;

const depths = {
  bitcoin: [{ upTo: coins(1n), blocks: 3 }, { upTo: coins(10n), blocks: 6 }, { upTo: coins(100n), blocks: 12 }, { blocks: 36 }],
  litecoin: [{ upTo: coins(100n), blocks: 24 }, { upTo: coins(1000n), blocks: 48 }, { upTo: coins(10_000n), blocks: 96 }, { blocks: 288 }],
  namecoin: [{ upTo: coins(1000n), blocks: 24 }, { upTo: coins(10_000n), blocks: 48 }, { blocks: 96 }],
  regtest: [{ upTo: coins(10n), blocks: 2 }, { upTo: coins(100n), blocks: 3 }, { blocks: 6 }],
} as const;

const n = coreText.payee.networks;

export const networks: readonly Network[] = [
  { ...rules.bitcoin, name: "bitcoin", title: n.bitcoin, hrp: "bc", p2pkh: 0, p2sh: [5], segwitHeight: 481_824, taprootHeight: 709_632, confirmations: depths.bitcoin },
  { ...rules.bitcoin, name: "bitcoin-testnet4", title: n.bitcoinTestnet, hrp: "tb", p2pkh: 111, p2sh: [196], segwitHeight: 1, taprootHeight: 1, confirmations: depths.bitcoin },
  { ...rules.bitcoin, name: "bitcoin-signet", title: n.bitcoinSignet, hrp: "tb", p2pkh: 111, p2sh: [196], segwitHeight: 1, taprootHeight: 1, confirmations: depths.bitcoin },
  { ...rules.bitcoin, name: "bitcoin-regtest", title: n.bitcoinRegtest, hrp: "bcrt", p2pkh: 111, p2sh: [196], segwitHeight: 1, taprootHeight: 1, confirmations: depths.regtest },
  { ...rules.litecoin, name: "litecoin", title: n.litecoin, hrp: "ltc", p2pkh: 48, p2sh: [50, 5], segwitHeight: 1_201_536, taprootHeight: 2_257_920, confirmations: depths.litecoin },
  { ...rules.litecoin, name: "litecoin-testnet", title: n.litecoinTestnet, hrp: "tltc", p2pkh: 111, p2sh: [58, 196], segwitHeight: 6048, taprootHeight: 2_435_328, confirmations: depths.litecoin },
  { ...rules.litecoin, name: "litecoin-regtest", title: n.litecoinRegtest, hrp: "rltc", p2pkh: 111, p2sh: [58, 196], segwitHeight: 432, taprootHeight: 432, confirmations: depths.regtest },
  { ...rules.namecoin, name: "namecoin", title: n.namecoin, hrp: "nc", p2pkh: 52, p2sh: [13], segwitHeight: 475_000, confirmations: depths.namecoin },
  { ...rules.namecoin, name: "namecoin-regtest", title: n.namecoinRegtest, hrp: "ncrt", p2pkh: 111, p2sh: [196], segwitHeight: 1, confirmations: depths.regtest },
];

export function networkOf(name: string): Network | undefined {
  return networks.find((x) => x.name === name);
}

/** How many blocks, the one of the payment included, a sum of payments in one block must have before it is credited. */
export function depthOf(network: Network, sum: bigint): number {
  const steps = network.confirmations;
  return (steps.find((c) => c.upTo === undefined || sum <= c.upTo) ?? steps[steps.length - 1])?.blocks ?? 0;
}

const t = coreText.payee;

/** The longest address of BIP-173. */
const longest = 90;

/** Reads an address of the network: the output script that pays to it. */
export function payTo(network: Network, text: string): Uint8Array {
  const lower = text.toLowerCase();
  for (const hrp of ["ltcmweb", "tmweb"]) if (lower.startsWith(hrp + "1")) throw new BadPayee("mweb", t.mweb(hrp));
  if (text === "") throw new BadPayee("syntax", t.empty);
  if (text.length > longest) throw new BadPayee("syntax", t.long(longest));
  if (/[^!-~]/.test(text)) throw new BadPayee("syntax", t.spaces);
  const one = lower.indexOf("1");
  const hrp = one < 0 ? "" : lower.slice(0, one);
  const other = networks.find((x) => x.hrp === hrp);
  return other ? segwitScript(network, text, other) : hashScript(network, text);
}

function segwitScript(network: Network, text: string, other: Network): Uint8Array {
  const lower = text.toLowerCase();
  if (other.hrp !== network.hrp) throw new BadPayee("network", t.prefix(other.hrp, other.title, network.title, network.hrp));
  if (text !== lower && text !== text.toUpperCase()) throw new BadPayee("syntax", t.mixed);
  const all = Array.from(lower.slice(network.hrp.length + 1), valueOf);
  if (all.length < 6 || all.includes(-1)) throw new BadPayee("syntax", t.typo);
  const kind = checksum(network.hrp, all);
  if (kind !== bech32 && kind !== bech32m) throw new BadPayee("checksum", t.typo);
  const [version, ...groups] = all.slice(0, -6);
  if (version === undefined) throw new BadPayee("syntax", t.ends(network.hrp));
  const program = fromGroups(groups);
  if (!program) throw new BadPayee("syntax", t.typo);
  if ((version === 0) !== (kind === bech32)) throw new BadPayee("checksum", t.kind);
  if (version === 0 && (program.length === 20 || program.length === 32)) return concat(Uint8Array.of(0, program.length), program);
  if (version !== 1 || program.length !== 32) throw new BadPayee("template", t.version(version, program.length));
  if (network.taprootHeight === undefined) throw new BadPayee("inactive", t.taproot(network.title));
  if (!onCurve(program)) throw new BadPayee("lost", t.lost);
  return concat(Uint8Array.of(op1, 32), program);
}

function hashScript(network: Network, text: string): Uint8Array {
  const bytes = base58(text);
  if (!bytes || bytes.length < 5) throw new BadPayee("syntax", t.none);
  const body = bytes.slice(0, -4);
  if (!equal(sha256(sha256(body)).slice(0, 4), bytes.slice(-4))) throw new BadPayee("checksum", t.typo);
  const version = body[0] ?? 0;
  const hash = body.slice(1);
  if (hash.length !== 20) throw new BadPayee("syntax", t.none);
  if (version === network.p2pkh) return concat(Uint8Array.of(0x76, 0xa9, 20), hash, Uint8Array.of(0x88, 0xac));
  if (network.p2sh.includes(version)) return concat(Uint8Array.of(0xa9, 20), hash, Uint8Array.of(0x87));
  const other = networks.find((x) => x.p2pkh === version || x.p2sh.includes(version));
  throw new BadPayee("network", other ? t.other(other.title, network.title) : t.unknown);
}

const op1 = 0x51;

/** The form of an output script that a bank pays to. */
export type Template = "p2pkh" | "p2sh" | "p2wpkh" | "p2wsh" | "p2tr";

/** The form of an output script; undefined if no bank pays to it. */
export function templateOf(out: Uint8Array): Template | undefined {
  const begins = (...bytes: number[]) => bytes.every((b, i) => out[i] === b);
  if (out.length === 25 && begins(0x76, 0xa9, 20) && out[23] === 0x88 && out[24] === 0xac) return "p2pkh";
  if (out.length === 23 && begins(0xa9, 20) && out[22] === 0x87) return "p2sh";
  if (out.length === 22 && begins(0, 20)) return "p2wpkh";
  if (out.length === 34 && begins(0, 32)) return "p2wsh";
  return out.length === 34 && begins(op1, 32) ? "p2tr" : undefined;
}

/** The address of an output script on the network; undefined if it has none there. */
export function addressFor(network: Network, out: Uint8Array): string | undefined {
  const segwit = (version: number, kind: number) => encode(network.hrp, [version, ...toGroups(out.slice(2))], kind);
  switch (templateOf(out)) {
    case "p2pkh": return checked(network.p2pkh, out.slice(3, 23));
    case "p2sh": return checked(network.p2sh[0] ?? 0, out.slice(2, 22));
    case "p2wpkh": case "p2wsh": return segwit(0, bech32);
    case "p2tr": return network.taprootHeight === undefined ? undefined : segwit(1, bech32m);
    case undefined: return undefined;
  }
}

/** Tells whether the bank may pay to an output in a block of this height; BadPayee says why not. */
export function checkPayable(network: Network, out: Uint8Array, height: number): void {
  const template = templateOf(out);
  if (!template) throw new BadPayee("template", t.version(out[0] ?? 0, out.length));
  if (template === "p2pkh" || template === "p2sh") return;
  const active = template === "p2tr" ? network.taprootHeight : network.segwitHeight;
  if (active === undefined) throw new BadPayee("inactive", t.taproot(network.title));
  if (height < active) throw new BadPayee("inactive", t.early(network.title, active));
  if (template === "p2tr" && !onCurve(out.slice(2))) throw new BadPayee("lost", t.lost);
}

const letters58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/** Reads base58; undefined for a letter that it has not. */
function base58(text: string): Uint8Array | undefined {
  let v = 0n;
  for (const c of text) {
    const digit = letters58.indexOf(c);
    if (digit < 0) return undefined;
    v = v * 58n + BigInt(digit);
  }
  const bytes: number[] = [];
  for (; v > 0n; v >>= 8n) bytes.unshift(Number(v & 0xffn));
  const zeros = /^1*/.exec(text)?.[0].length ?? 0;
  return Uint8Array.from([...new Array<number>(zeros).fill(0), ...bytes]);
}

/** Writes a hash in base58 behind a first byte, with its checksum. */
function checked(version: number, hash: Uint8Array): string {
  const body = concat(Uint8Array.of(version), hash);
  const bytes = concat(body, sha256(sha256(body)).slice(0, 4));
  let v = bytes.reduce((sum, b) => (sum << 8n) | BigInt(b), 0n);
  let text = "";
  for (; v > 0n; v /= 58n) text = letters58.charAt(Number(v % 58n)) + text;
  const zeros = bytes.findIndex((b) => b !== 0);
  return "1".repeat(zeros < 0 ? bytes.length : zeros) + text;
}

const field = 2n ** 256n - 2n ** 32n - 977n;

/**
 * Tells whether 32 bytes are the x of a point of secp256k1: whether x^3 + 7 is a
 * square, by Euler's criterion. What is asked is public, so time does not matter.
 */
function onCurve(bytes: Uint8Array): boolean {
  const x = bytes.reduce((sum, b) => (sum << 8n) | BigInt(b), 0n);
  if (x >= field) return false;
  let base = (x * x * x + 7n) % field;
  let power = 1n;
  for (let e = (field - 1n) / 2n; e > 0n; e >>= 1n) {
    if (e & 1n) power = (power * base) % field;
    base = (base * base) % field;
  }
  return power === 1n;
}
