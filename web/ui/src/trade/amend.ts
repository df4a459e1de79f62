/** Changing an order: what may be changed, and what becomes of its place (K-6, M-71). */
import type { Body } from "../souk/body.ts";
import { BadNumber, formatUnits, parseUnits } from "../souk/amount.ts";
import type { Order } from "../money/read.ts";
import { coreText } from "../souk/text.ts";
import { text } from "../text.ts";
import { paidFor } from "./costs.ts";
import { bandOf, ceilDiv, maxAmount, maxLots, maxPrice, type Terms } from "./terms.ts";

/** Orders at market, stops and legs of an OCO cannot be amended (K-6). */
export const mayAmend = (o: Pick<Order, "kind" | "status" | "sibling" | "quantity">): boolean =>
  o.kind === "limit" && o.status === "resting" && o.sibling === undefined && o.quantity !== undefined;

/** How much of an order is filled, in whole percent. */
export function progress(o: Pick<Order, "filled" | "quantity">): string {
  return o.quantity ? String((o.filled * 100n) / o.quantity) : "0";
}

export interface Amended {
  problems: { price?: string; quantity?: string };
  /** Its place is kept: smaller, at the same price. */
  keeps: boolean;
  body?: Body;
}

/** Checks what somebody wrote into the form of an amend. */
export function checkAmend(o: Order, written: { price: string; quantity: string }, terms: Terms): Amended {
  const problems: Amended["problems"] = {};
  const t = text.trade;
  const money = (units: bigint) => formatUnits(units, terms.quoteDecimals, { group: true, trim: true });
  const coins = (units: bigint) => formatUnits(units, terms.baseDecimals, { group: true, trim: true });
  const read = (field: "price" | "quantity", decimals: number): bigint => {
    try {
      return parseUnits(written[field], decimals);
    } catch (error) {
      problems[field] = error instanceof BadNumber ? error.message : coreText.number.form;
      return 0n;
    }
  };
  const price = read("price", terms.quoteDecimals);
  const quantity = read("quantity", terms.baseDecimals);
  const down = (n: bigint, step: bigint) => n - (n % step);

  if (!problems.price) {
    const band = bandOf(terms.reference, terms.bandPpm);
    if (price === 0n) problems.price = t.problem.zero;
    else if (price > maxPrice) problems.price = t.problem.large;
    else if (price % terms.tick !== 0n) problems.price = t.problem.tick(money(terms.tick), money(down(price, terms.tick)), money(down(price, terms.tick) + terms.tick));
    else if (price !== o.price && band && (price < band.low || price > band.high)) {
      problems.price = t.problem.band(money(ceilDiv(band.low, terms.tick) * terms.tick), money(down(band.high, terms.tick)), terms.quote);
    }
  }
  if (!problems.quantity) {
    if (quantity % terms.lot !== 0n) problems.quantity = t.problem.lot(coins(terms.lot), coins(down(quantity, terms.lot)), coins(down(quantity, terms.lot) + terms.lot));
    else if (quantity <= o.filled) problems.quantity = o.filled > 0n ? t.orders.amendFilled(coins(o.filled)) : t.problem.zero;
    else if (quantity / terms.lot > maxLots || paidFor(price * quantity, terms) > maxAmount) problems.quantity = t.problem.large;
    else if (paidFor(price * (quantity - o.filled), terms) < terms.minNotional) problems.quantity = t.problem.minimum(money(terms.minNotional), terms.quote);
  }
  const whole = o.quantity ?? 0n;
  const keeps = price === o.price && quantity < whole;
  if (problems.price || problems.quantity || (price === o.price && quantity === whole)) return { problems, keeps };
  const body: Body = { kind: "amend", target: { order: BigInt(o.id), client: "" }, price: price === o.price ? 0n : price, quantity };
  return { problems, keeps, body };
}
