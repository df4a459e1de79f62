/** A payment to another account, as somebody writes it into the form. */
import { BadAddress, decodeAddress, encodeAddress } from "../souk/address.ts";
import { BadNumber, formatUnits, parseUnits } from "../souk/amount.ts";
import { encodeUtf8 } from "../souk/bytes.ts";
import { networkNames, parseChainAddress } from "../souk/chain.ts";
import { text } from "../text.ts";

/** Bytes of a memo in UTF-8. */
export const memoLimit = 128;

export interface PaymentGround {
  own: string;
  symbol: string;
  decimals: number;
  available: bigint;
}

export interface PaymentPlan {
  errors: { to: string; amount: string; memo: string };
  to: Uint8Array | undefined;
  amount: bigint;
  memoLeft: number;
  ready: boolean;
}

const t = text.money.send;

export function planPayment(g: PaymentGround, wish: { to: string; amount: string; memo: string }): PaymentPlan {
  const plan: PaymentPlan = { errors: { to: "", amount: "", memo: "" }, to: undefined, amount: 0n, memoLeft: memoLimit, ready: false };
  const to = wish.to.trim();
  if (to !== "") {
    try {
      plan.to = decodeAddress(to);
      if (encodeAddress(plan.to) === g.own) plan.errors.to = t.self;
    } catch (error) {
      plan.errors.to = ofChain(to) ? t.chain : error instanceof BadAddress ? error.message : String(error);
    }
  }
  if (wish.amount.trim() !== "") {
    try {
      plan.amount = parseUnits(wish.amount, g.decimals);
      const missing = plan.amount - g.available;
      if (plan.amount === 0n) plan.errors.amount = t.zero;
      else if (missing > 0n) plan.errors.amount = t.short(`${formatUnits(missing, g.decimals, { trim: true, group: true })} ${g.symbol}`);
    } catch (error) {
      plan.errors.amount = error instanceof BadNumber ? error.message : String(error);
    }
  }
  try {
    plan.memoLeft = memoLimit - encodeUtf8(wish.memo.trim()).length;
  } catch {
    plan.memoLeft = -1;
  }
  if (plan.memoLeft < 0) plan.errors.memo = t.memoLong;
  plan.memoLeft = Math.max(0, plan.memoLeft);
  plan.ready = plan.to !== undefined && plan.amount > 0n && !plan.errors.to && !plan.errors.amount && !plan.errors.memo;
  return plan;
}

/** Whether a text is an address of a chain whose coins a bank may keep. */
function ofChain(to: string): boolean {
  return networkNames.some((name) => {
    try {
      return parseChainAddress(name, to).length > 0;
    } catch {
      return false;
    }
  });
}
