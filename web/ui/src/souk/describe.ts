/**
 * Says in plain words what a command does. It reads the very bytes that are to be signed, and
 * never what the form believes they say; numbers become words only by facts that were proven.
 */
import { encodeAddress } from "./address.ts";
import { formatUnits } from "./amount.ts";
import type { Body, Kind } from "./body.ts";
import { equal } from "./bytes.ts";
import { decodeSignBytes } from "./command.ts";
import { describeAccount } from "./describe-account.ts";
import { describeMoney } from "./describe-money.ts";
import { describeOrder } from "./describe-order.ts";
import { words } from "./describe-text.ts";

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
  /** The price of a market's last trade; zero before the first. Asked for orders at market. */
  last?(market: number): bigint | undefined;
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

/** Kinds by which money or power over it leaves the account. */
const moving: ReadonlySet<Kind> = new Set<Kind>([
  "transfer", "add-delegate", "remove-delegate", "rotate", "cancel-rotation", "lock", "claim", "refund", "dispute", "resolve",
  "set-withdrawals", "withdraw", "donate",
]);

/** Whether a kind of command is never sent without Confirm. */
export function movesMoney(kind: Kind): boolean {
  return moving.has(kind);
}

/** Says what sign bytes do (signBytes). Throws BadCommand or Unclear, and then nothing is signed. */
export function describe(toSign: Uint8Array, world: World): Description {
  const { vsid, command } = decodeSignBytes(toSign);
  if (!equal(vsid, world.vsid)) throw new Unclear(words.refuse.server);
  if (!equal(command.account, world.account)) throw new Unclear(words.refuse.account);
  const said = say(command.body, new Facts(world), command.key);
  return { warnings: [], ...said, moves: moving.has(command.body.kind) };
}

/** What one of the parts says; whether it moves money is not for them to say. */
export type Said = Pick<Description, "title" | "lines"> & { warnings?: string[] };

function say(b: Body, f: Facts, signer: Uint8Array): Said {
  return describeOrder(b, f) ?? describeMoney(b, f) ?? describeAccount(b, f, signer);
}

/** The world as the parts ask it: what is not proven makes the bytes unclear. */
export class Facts {
  constructor(readonly world: World) {}

  asset(number: number): AssetFacts {
    return known(this.world.asset(number), number, words.refuse.asset(number));
  }

  market(number: number): MarketFacts {
    return known(this.world.market(number), number, words.refuse.market(number));
  }

  bank(number: number): BankFacts {
    return known(this.world.bank(number), number, words.refuse.bank(number));
  }

  amount(asset: AssetFacts, units: bigint): string {
    return `${formatUnits(units, asset.decimals, { group: true, trim: true })} ${asset.symbol}`;
  }

  price(market: MarketFacts, units: bigint): string {
    return words.for(this.amount(market.quote, units), market.base.symbol);
  }

  /** An address, whole: what is shortened cannot be compared. */
  address(bytes: Uint8Array): string {
    return encodeAddress(bytes);
  }
}

/** Facts about another number than the one that was asked for are no answer. */
function known<T extends { number: number }>(fact: T | undefined, number: number, otherwise: string): T {
  if (!fact || fact.number !== number) throw new Unclear(otherwise);
  return fact;
}

export function pairName(m: MarketFacts): string {
  return `${m.base.symbol}-${m.quote.symbol}`;
}

/** A point in time, the same for everybody: 2027-01-15 08:00:00 UTC. */
export function timeText(ms: bigint): string {
  const date = new Date(Number(ms));
  return Number.isNaN(date.getTime()) ? `${ms} ms` : `${date.toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** A length of time: 90 minutes, 2 days. Nothing is rounded away. */
export function spanText(ms: bigint): string {
  const units = [["day", 86_400_000n], ["hour", 3_600_000n], ["minute", 60_000n], ["second", 1000n]] as const;
  for (const [unit, size] of units) {
    if (ms >= size && ms % size === 0n) return `${ms / size} ${ms === size ? words.time.one[unit] : words.time[unit]}`;
  }
  return `${formatUnits(ms, 3, { trim: true })} ${words.time.second}`;
}
