/** A key that is to act for the account, as somebody writes it into the form. */
import { scopes } from "../souk/body.ts";
import { equal, fromHex } from "../souk/bytes.ts";
import { text } from "../text.ts";

export const maxDelegates = 16;
export const grantable = ["read", "trade", "transfer", "withdraw"] as const;
export type Scope = (typeof grantable)[number];

const day = 86_400_000;
export const terms = { never: 0, day, week: 7 * day, month: 30 * day, year: 365 * day } as const;
export type Term = keyof typeof terms;

export interface DelegatePlan {
  errors: { key: string; scopes: string };
  key: Uint8Array | undefined;
  mask: number;
  /** The key can give money away. */
  grave: boolean;
  ready: boolean;
}

export function planDelegate(own: Uint8Array, wish: { key: string; scopes: readonly Scope[] }, count: number): DelegatePlan {
  const t = text.money.delegates;
  const mask = wish.scopes.reduce((m, s) => m | scopes[s], 0);
  const plan: DelegatePlan = { errors: { key: "", scopes: "" }, key: undefined, mask, grave: (mask & (scopes.transfer | scopes.withdraw)) !== 0, ready: false };
  const written = wish.key.trim().toLowerCase();
  if (written !== "") {
    try {
      plan.key = fromHex(written, 32);
      if (equal(plan.key, own)) plan.errors.key = t.ownKey;
    } catch {
      plan.errors.key = t.badKey;
    }
  }
  if (mask === 0) plan.errors.scopes = t.noScope;
  else if (count >= maxDelegates) plan.errors.scopes = t.tooMany;
  plan.ready = plan.key !== undefined && plan.errors.key === "" && plan.errors.scopes === "";
  return plan;
}
