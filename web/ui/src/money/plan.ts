/**
 * A withdrawal that somebody writes into the form: what is wrong with it, what it costs, what it waits
 * for. Bank, keys, balance and settings are proven; rate, halts and own addresses are what a server says.
 */
import { BadAddress, decodeAddress } from "../souk/address.ts";
import { BadNumber, formatUnits, parseUnits } from "../souk/amount.ts";
import { equal, hex } from "../souk/bytes.ts";
import { text } from "../text.ts";
import { boundFactor, payoutFee, type Signers } from "./fee.ts";
import { payTo, type Network } from "./networks.ts";
import type { Rules } from "./rules.ts";
import { span } from "./span.ts";

/** Assets with a bank have so many decimals. */
export const bankDecimals = 8;

/** Limits of a bank, in force now. Delay is ms. */
export interface Limits {
  minDeposit: bigint;
  minWithdrawal: bigint;
  maxPerHour: bigint;
  delayAbove: bigint;
  delay: number;
}

/** What the plan goes by. */
export interface Ground {
  bank: number;
  symbol: string;
  network: Network;
  tip: number;
  limits: Limits;
  signers: Signers;
  /** Units per 1,000 virtual bytes, as members know it; 0: too few know one. */
  rate: bigint;
  available: bigint;
  held: bigint;
  rules: Rules;
  halted: boolean;
  /** Output scripts of the account's own deposit addresses, hexadecimal; undefined if they could not be read. */
  own: ReadonlySet<string> | undefined;
}

/** What stands in the form. */
export interface Wish {
  address: string;
  amount: string;
  /** Everything that is available, less the bound of the fee. */
  all: boolean;
  /** The bound of the fee that the user has set; empty: ours. */
  bound: string;
}

export interface Plan {
  errors: { address: string; amount: string; bound: string };
  warnings: string[];
  /** The output is known and may be paid to. */
  output: Uint8Array | undefined;
  amount: bigint;
  estimate: bigint;
  maxFee: bigint;
  delay: string;
  /** Nothing is missing: it can be asked for. */
  ready: boolean;
}

const t = text.money.withdraw;

/** A script hash of version 0, the longest output: what an address that is not written yet is counted as. */
const anyOutput = new Uint8Array(34);

export function planWithdrawal(g: Ground, wish: Wish): Plan {
  const plan: Plan = {
    errors: { address: "", amount: "", bound: "" }, warnings: [], output: undefined, amount: 0n, estimate: 0n, maxFee: 0n, delay: "", ready: false,
  };
  readAddress(plan, g, wish.address.trim());
  price(plan, g, wish.bound.trim());
  readAmount(plan, g, wish);
  if (g.rate === 0n) plan.warnings.push(t.noRate);
  if (g.halted) plan.warnings.push(t.halted);
  if (plan.output) delay(plan, g, plan.output);
  const wrong = plan.errors.address || plan.errors.amount || plan.errors.bound;
  plan.ready = plan.output !== undefined && plan.amount > 0n && wrong === "";
  return plan;
}

function money(g: Ground, units: bigint): string {
  return `${formatUnits(units, bankDecimals, { trim: true, group: true })} ${g.symbol}`;
}

function readAddress(plan: Plan, g: Ground, address: string): void {
  if (address === "") return;
  try {
    plan.output = payTo(g.network, address, g.tip);
    if (g.own?.has(hex(plan.output))) plan.errors.address = t.own;
    else if (!g.own) plan.warnings.push(t.ownUnknown);
  } catch (error) {
    plan.errors.address = isAccount(address) ? t.souk : error instanceof BadAddress ? error.message : String(error);
  }
}

function isAccount(address: string): boolean {
  try {
    return decodeAddress(address).length > 0;
  } catch {
    return false;
  }
}

function price(plan: Plan, g: Ground, bound: string): void {
  const { estimate, least } = payoutFee(g.signers, g.network, plan.output ?? anyOutput, g.rate);
  plan.estimate = estimate;
  plan.maxFee = boundFactor * estimate;
  if (bound === "") return;
  try {
    plan.maxFee = parseUnits(bound, bankDecimals);
    if (plan.maxFee < least) plan.errors.bound = t.boundLow(money(g, least));
    else if (plan.maxFee < estimate) plan.warnings.push(t.boundBelow(money(g, estimate)));
  } catch (error) {
    plan.errors.bound = said(error);
  }
}

function said(error: unknown): string {
  if (error instanceof BadNumber) return error.message;
  throw error;
}

function readAmount(plan: Plan, g: Ground, wish: Wish): void {
  if (wish.all) plan.amount = g.available > plan.maxFee ? g.available - plan.maxFee : 0n;
  else if (wish.amount.trim() === "") return;
  else {
    try {
      plan.amount = parseUnits(wish.amount, bankDecimals);
    } catch (error) {
      plan.errors.amount = said(error);
      return;
    }
  }
  const missing = plan.amount + plan.maxFee - g.available;
  if (plan.amount < g.limits.minWithdrawal) plan.errors.amount = t.least(money(g, g.limits.minWithdrawal));
  else if (plan.amount > g.limits.maxPerHour) plan.errors.amount = t.most(money(g, g.limits.maxPerHour));
  else if (missing > 0n) plan.errors.amount = g.held > 0n ? t.shortHeld(money(g, missing), money(g, g.held)) : t.short(money(g, missing));
  else if (wish.bound.trim() === "" && plan.maxFee * 10n > plan.amount) plan.errors.amount = t.dear(money(g, plan.estimate));
}

/** What the account's settings and the bank's delay mean for the withdrawal (Y-61). */
function delay(plan: Plan, g: Ground, output: Uint8Array): void {
  const bySettings = g.rules.delay === 0 ? t.none : t.bySettings(span(g.rules.delay));
  if (g.rules.allowed.some((a) => a.bank === g.bank && equal(a.output, output))) {
    plan.delay = t.noneAllowed;
    return;
  }
  if (g.rules.only) {
    plan.errors.address ||= t.onlyAllowed;
    return;
  }
  if (g.limits.delay <= g.rules.delay) plan.delay = bySettings;
  else if (plan.amount > g.limits.delayAbove) plan.delay = t.firstPaid(span(g.limits.delay), bySettings);
  else plan.delay = t.above(bySettings, span(g.limits.delay), money(g, g.limits.delayAbove));
}

/** A share of what is available, of which the bound of the fee must be left; as text for the form. */
export function shareOf(available: bigint, maxFee: bigint, percent: number): string {
  const share = (available * BigInt(percent)) / 100n;
  const most = available > maxFee ? available - maxFee : 0n;
  return formatUnits(share < most ? share : most, bankDecimals, { trim: true });
}
