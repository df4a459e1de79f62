/** Addresses of the chains whose coins a bank keeps, and the output scripts they stand for. */
import { sha256 } from "@noble/hashes/sha2.js";
import { BadAddress } from "./address.ts";
import { bech32, bech32m, checksum, encode, fromGroups, toGroups, valueOf } from "./bech32.ts";
import { concat, equal } from "./bytes.ts";
import { coreText } from "./text.ts";

interface Network {
  label: string; // for people
  hrp: string;
  p2pkh: number;
  p2sh: readonly number[]; // the first is written, all are read
  taproot: boolean;
}

const regtest = { p2pkh: 111, p2sh: [196] } as const;

const networks: Readonly<Record<string, Network>> = {
  bitcoin: { label: "Bitcoin", hrp: "bc", p2pkh: 0, p2sh: [5], taproot: true },
  "bitcoin-testnet4": { label: "Bitcoin testnet4", hrp: "tb", ...regtest, taproot: true },
  "bitcoin-signet": { label: "Bitcoin signet", hrp: "tb", ...regtest, taproot: true },
  "bitcoin-regtest": { label: "Bitcoin regtest", hrp: "bcrt", ...regtest, taproot: true },
  litecoin: { label: "Litecoin", hrp: "ltc", p2pkh: 48, p2sh: [50, 5], taproot: true },
  "litecoin-testnet": { label: "Litecoin testnet", hrp: "tltc", p2pkh: 111, p2sh: [58, 196], taproot: true },
  "litecoin-regtest": { label: "Litecoin regtest", hrp: "rltc", p2pkh: 111, p2sh: [58, 196], taproot: true },
  namecoin: { label: "Namecoin", hrp: "nc", p2pkh: 52, p2sh: [13], taproot: false },
  "namecoin-regtest": { label: "Namecoin regtest", hrp: "ncrt", ...regtest, taproot: false },
};

const t = coreText.chain;

/** Names of the networks that this page knows. */
export const networkNames: readonly string[] = Object.keys(networks);

/** A network's name for people; undefined if this page does not know it. */
export function networkLabel(name: string): string | undefined {
  return networks[name]?.label;
}

function network(name: string): Network {
  const n = Object.hasOwn(networks, name) ? networks[name] : undefined;
  if (!n) throw new BadAddress(t.unknown(name));
  return n;
}

const p2pkh = { before: [0x76, 0xa9, 20], after: [0x88, 0xac] };
const p2sh = { before: [0xa9, 20], after: [0x87] };

/** The output script that an address of a network stands for. Spaces around it are forgiven. */
export function parseChainAddress(name: string, text: string): Uint8Array {
  const n = network(name);
  const trimmed = text.trim();
  const lower = trimmed.toLowerCase();
  if (trimmed === "") throw new BadAddress(t.empty);
  if (/^(ltcmweb|tmweb)1/.test(lower)) throw new BadAddress(t.mweb);
  if (!/^[!-~]*$/.test(trimmed)) throw new BadAddress(t.signs);
  if (trimmed.length > 90) throw new BadAddress(t.none(n.label));
  const hrp = lower.slice(0, Math.max(0, lower.indexOf("1")));
  const other = Object.values(networks).find((o) => o.hrp === hrp);
  if (other) return parseSegwit(n, trimmed, lower, hrp, other);
  return parseBase58(n, trimmed);
}

function parseSegwit(n: Network, text: string, lower: string, hrp: string, other: Network): Uint8Array {
  if (hrp !== n.hrp) throw new BadAddress(t.other(other.label, n.label));
  if (text !== lower && text !== text.toUpperCase()) throw new BadAddress(t.mixed);
  const groups = [...lower.slice(hrp.length + 1)].map(valueOf);
  const kind = groups.includes(-1) ? 0 : checksum(hrp, groups);
  const version = groups[0] ?? 0;
  const program = groups.length < 8 ? undefined : fromGroups(groups.slice(1, -6));
  if ((kind !== bech32 && kind !== bech32m) || !program) throw new BadAddress(t.typo);
  if (kind !== (version === 0 ? bech32 : bech32m)) throw new BadAddress(t.typo);
  if (version === 0 && (program.length === 20 || program.length === 32)) return concat(Uint8Array.of(0, program.length), program);
  if (version === 1 && program.length === 32) {
    if (!n.taproot) throw new BadAddress(t.taproot(n.label));
    if (!onCurve(program)) throw new BadAddress(t.unspendable);
    return concat(Uint8Array.of(0x51, 32), program);
  }
  throw new BadAddress(t.version);
}

function parseBase58(n: Network, text: string): Uint8Array {
  const bytes = fromBase58(text);
  if (!bytes || bytes.length < 5) throw new BadAddress(t.none(n.label));
  const payload = bytes.slice(0, -4);
  if (!equal(sha256(sha256(payload)).slice(0, 4), bytes.slice(-4))) throw new BadAddress(t.typo);
  const [version, hash] = [payload[0] ?? 0, payload.slice(1)];
  if (hash.length !== 20) throw new BadAddress(t.none(n.label));
  if (version === n.p2pkh) return Uint8Array.of(...p2pkh.before, ...hash, ...p2pkh.after);
  if (n.p2sh.includes(version)) return Uint8Array.of(...p2sh.before, ...hash, ...p2sh.after);
  const other = Object.values(networks).find((o) => o.p2pkh === version || o.p2sh.includes(version));
  throw new BadAddress(other ? t.other(other.label, n.label) : t.none(n.label));
}

/** The address of an output script on a network, or BadAddress if it has none. */
export function chainAddress(name: string, script: Uint8Array): string {
  const n = network(name);
  const has = (before: readonly number[], after: readonly number[], size: number) =>
    script.length === before.length + size + after.length &&
    before.every((b, i) => script[i] === b) &&
    after.every((b, i) => script[before.length + size + i] === b);
  if (has(p2pkh.before, p2pkh.after, 20)) return base58(n.p2pkh, script.slice(3, 23));
  if (has(p2sh.before, p2sh.after, 20)) return base58(n.p2sh[0] ?? 0, script.slice(2, 22));
  if (has([0, 20], [], 20) || has([0, 32], [], 32)) return encode(n.hrp, [0, ...toGroups(script.slice(2))], bech32);
  if (has([0x51, 32], [], 32) && n.taproot) return encode(n.hrp, [1, ...toGroups(script.slice(2))], bech32m);
  throw new BadAddress(t.script);
}

const digits = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

function base58(version: number, hash: Uint8Array): string {
  const payload = concat(Uint8Array.of(version), hash);
  const bytes = concat(payload, sha256(sha256(payload)).slice(0, 4));
  let n = bytes.reduce((sum, b) => sum * 256n + BigInt(b), 0n);
  let text = "";
  for (; n > 0n; n /= 58n) text = digits.charAt(Number(n % 58n)) + text;
  const zeros = bytes.findIndex((b) => b !== 0);
  return "1".repeat(zeros < 0 ? bytes.length : zeros) + text;
}

function fromBase58(text: string): Uint8Array | undefined {
  let n = 0n;
  for (const c of text) {
    const value = digits.indexOf(c);
    if (value < 0) return undefined;
    n = n * 58n + BigInt(value);
  }
  const bytes: number[] = [];
  for (; n > 0n; n >>= 8n) bytes.unshift(Number(n & 255n));
  const zeros = /^1*/.exec(text)?.[0].length ?? 0;
  return Uint8Array.from([...Array<number>(zeros).fill(0), ...bytes]);
}

const field = 2n ** 256n - 2n ** 32n - 977n;

/** Whether 32 bytes are the x of a point of secp256k1: else nobody has a key for them. */
function onCurve(bytes: Uint8Array): boolean {
  const x = bytes.reduce((sum, b) => sum * 256n + BigInt(b), 0n);
  if (x >= field) return false;
  const square = (x * x * x + 7n) % field;
  let [power, base, root] = [(field - 1n) / 2n, square, 1n];
  for (; power > 0n; power >>= 1n) {
    if (power & 1n) root = (root * base) % field;
    base = (base * base) % field;
  }
  return root === 1n || square === 0n;
}
