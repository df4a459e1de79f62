/** One's own orders in a market, as the ladder and the form look at them. */
import type { Order } from "../money/read.ts";
import type { Side } from "./terms.ts";

type Resting = Pick<Order, "market" | "status" | "side" | "price" | "quantity" | "filled">;

/** What one's own orders have resting at each price. */
export function ownAt(orders: readonly Resting[], market: number): Record<Side, Map<bigint, bigint>> {
  const out = { buy: new Map<bigint, bigint>(), sell: new Map<bigint, bigint>() };
  for (const o of orders) {
    if (o.market !== market || o.status !== "resting" || o.quantity === undefined) continue;
    out[o.side].set(o.price, (out[o.side].get(o.price) ?? 0n) + o.quantity - o.filled);
  }
  return out;
}
