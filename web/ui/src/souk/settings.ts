/** What an account says about its withdrawals, out of the leaf of its settings (Y-62, Y-92). */
import type { Allowed } from "./body.ts";
import { BadBytes, Reader, compare } from "./bytes.ts";

export interface PayRules {
  /** ms that a withdrawal waits to an output that is not allowed. */
  delay: number;
  /** Nothing but allowed outputs is paid to. */
  only: boolean;
  allowed: Allowed[];
}

/** In force, and to come from a time on (ms), whether or not that has come. */
export interface PaySettings {
  now: PayRules;
  next: { rules: PayRules; from: number } | undefined;
}

const maxAllowed = 16;
const maxDelay = 30n * 86_400_000n;

/** What is so where nothing was ever set. */
export const noSettings: PaySettings = { now: { delay: 0, only: false, allowed: [] }, next: undefined };

export function parseSettings(value: Uint8Array): PaySettings {
  const r = new Reader(value);
  const now = rules(r);
  const from = r.u64();
  const next = rules(r);
  r.take(16); // salt
  r.take(r.u8() * (16 + 8)); // outputs that were paid to
  r.take(r.u8() * (4 + 8 + 8)); // what was drawn
  r.end();
  if (from > BigInt(Number.MAX_SAFE_INTEGER)) throw new BadBytes("a time is out of range");
  return { now, next: from === 0n ? undefined : { rules: next, from: Number(from) } };
}

function rules(r: Reader): PayRules {
  const [delay, only, count] = [r.u64(), r.flag(), r.u8()];
  if (delay > maxDelay || count > maxAllowed) throw new BadBytes("these are no settings of withdrawals");
  const allowed = Array.from({ length: count }, (): Allowed => ({ bank: r.u32(), output: r.bytes8(64) }));
  for (const [i, a] of allowed.entries()) {
    const before = allowed[i - 1];
    if (before && (before.bank - a.bank || compare(before.output, a.output)) >= 0) throw new BadBytes("allowed outputs are not in order");
  }
  return { delay: Number(delay), only, allowed };
}
