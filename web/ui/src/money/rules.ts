/**
 * Changes of what an account's withdrawals may do (docs/spec/14-custody.md, Y-62). Who changes one
 * setting signs all, so the others are those that are proven. A change that lets something
 * through sooner waits, and all of it does.
 */
import { compare } from "../souk/bytes.ts";
import type { Allowed } from "../souk/command.ts";
import { text } from "../text.ts";

export const maxDelay = 30 * 86_400_000;
export const maxAllowed = 16;

export interface Rules {
  /** ms that a withdrawal waits to an output that is not allowed. */
  delay: number;
  /** Nothing but allowed outputs is paid to. */
  only: boolean;
  allowed: Allowed[];
}

/** What the state has: in force, and to come from a time on. */
export interface RulesRecord {
  now: Rules;
  next?: { rules: Rules; from: number };
}

/** What is to be signed, one after the other, and what is to be said. */
export interface RulesChange {
  sign: Rules[];
  /** A change that was to come is replaced. */
  replaces: boolean;
}

/** The user's wish cannot be signed; the message says why. */
export class BadRules extends Error {
  override readonly name = "BadRules";
}

export const noRules: Rules = { delay: 0, only: false, allowed: [] };

function order(a: Allowed, b: Allowed): number {
  return a.bank - b.bank || compare(a.output, b.output);
}

const same = (a: Allowed, b: Allowed): boolean => order(a, b) === 0;

/** Outputs in the order in which they are signed, none twice. */
function sorted(list: readonly Allowed[]): Allowed[] {
  return [...list].sort(order).filter((x, i, all) => i === 0 || !same(x, all[i - 1] as Allowed));
}

export function sameRules(a: Rules, b: Rules): boolean {
  const [x, y] = [sorted(a.allowed), sorted(b.allowed)];
  return a.delay === b.delay && a.only === b.only && x.length === y.length && x.every((o, i) => same(o, y[i] as Allowed));
}

/** Settings in force at a time: a change whose time has come counts. */
export function rulesAt(record: RulesRecord, now: number): RulesRecord {
  return record.next && record.next.from <= now ? { now: record.next.rules } : record;
}

/** What of a wish is stricter than what is in force, and lets nothing through sooner. */
function stricter(now: Rules, wish: Rules): Rules {
  return {
    delay: Math.max(now.delay, wish.delay),
    only: now.only || wish.only,
    allowed: now.allowed.filter((o) => wish.allowed.some((w) => same(o, w))),
  };
}

/** Whether settings let something through that others do not, or sooner. */
export function looser(now: Rules, next: Rules): boolean {
  return next.delay < now.delay || (now.only && !next.only) || next.allowed.some((o) => !now.allowed.some((n) => same(o, n)));
}

/** What is to be signed so that the account's settings become as somebody wishes. */
export function changeRules(record: RulesRecord, wish: Rules): RulesChange {
  const w = { ...wish, allowed: sorted(wish.allowed) };
  const t = text.money.rules;
  if (!Number.isSafeInteger(w.delay) || w.delay < 0 || w.delay > maxDelay) throw new BadRules(t.badDelay);
  if (w.allowed.length > maxAllowed) throw new BadRules(t.tooMany(maxAllowed));
  if (w.only && w.allowed.length === 0) throw new BadRules(t.nobody);
  const target = record.next?.rules ?? record.now;
  if (sameRules(w, target)) throw new BadRules(record.next ? t.coming : t.already);
  const lock = stricter(record.now, w);
  const sign: Rules[] = [];
  // The ledger has one change to come at most, and takes it whole or not at all at once. So that a
  // stricter part need not wait with what was to come already, it is signed by itself before; but
  // not one by which the account could pay nobody at all.
  const locks = record.next && looser(record.now, w) && !sameRules(lock, record.now) && !(lock.only && lock.allowed.length === 0);
  if (locks) sign.push(lock);
  if (sign.length === 0 || !sameRules(lock, w)) sign.push(w);
  return { sign, replaces: record.next !== undefined };
}

/** What takes back the change that is to come: what is in force, signed again. */
export function undoRules(record: RulesRecord): RulesChange {
  return { sign: [record.now], replaces: true };
}
