/** The newest trades of a market, newest first. */
import type { Schemas } from "souk-api";
import { parseUnits } from "../souk/amount.ts";
import type { Side, Terms } from "./terms.ts";

export interface Print {
  id: number;
  price: bigint;
  quantity: bigint;
  /** The taker's side. */
  side: Side;
  /** From the inner cross: both orders were new. */
  inner: boolean;
  height: number;
  time: number;
}

/** How many are kept. */
export const tapeLength = 60;

/** Reads a trade as the API tells it. */
export function readPrint(t: Schemas["Trade"], terms: Pick<Terms, "baseDecimals" | "quoteDecimals">): Print {
  return {
    id: t.id,
    price: parseUnits(t.price, terms.quoteDecimals),
    quantity: parseUnits(t.quantity, terms.baseDecimals),
    side: t.side,
    inner: t.inner,
    height: t.height,
    time: t.time,
  };
}

/** Puts new trades, oldest first, before a tape; those that it has are let go by. */
export function printed(tape: readonly Print[], fresh: readonly Print[]): readonly Print[] {
  const last = tape[0]?.id ?? 0;
  const later = fresh.filter((p) => p.id > last).reverse();
  return later.length === 0 ? tape : [...later, ...tape].slice(0, tapeLength);
}
