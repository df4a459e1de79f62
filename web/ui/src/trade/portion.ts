/** The buttons of 25 to 100 %: the size that uses a share of what is available, and never more. */
import { BadNumber, parseUnits } from "../souk/amount.ts";
import { portion, worstPrice } from "./costs.ts";
import type { World } from "./order.ts";
import { atMarket, type Draft } from "./shape.ts";

/** The size in ledger units, of base or by amount as the draft has it; undefined where a price is missing. */
export function sized(draft: Draft, world: World, percent: bigint): bigint | undefined {
  const { terms } = world;
  if (!world.available) return undefined;
  const asset = draft.side === "buy" ? "quote" : "base";
  const available = world.available[asset] - (world.fee?.[asset] ?? 0n);
  const size = (price: bigint) => portion(draft.side, draft.by, price, available, percent, terms);
  // A sell by quantity holds what it sells, whatever the price.
  if (draft.side === "sell" && draft.by === "quantity") return size(1n);
  if (draft.side === "buy" && draft.by === "amount") return size(1n);

  const trigger = read(draft.trigger, terms.quoteDecimals);
  let price = read(draft.price, terms.quoteDecimals);
  if (price === undefined && atMarket(draft.kind)) {
    if (draft.kind !== "market") return trigger && size(worstPrice(draft.side, [], 0n, trigger, terms));
    const levels = draft.side === "buy" ? world.asks : world.bids;
    // The more is wanted, the worse the price that is chosen. What the whole share could be at the
    // best of prices has the worst of them, so what is bought at that one is not too much.
    const most = draft.side === "buy" ? size(worstPrice("buy", levels, 0n, 0n, terms)) : (available * percent) / 100n;
    return size(worstPrice(draft.side, levels, most, 0n, terms));
  }
  if (draft.kind === "oco" && draft.side === "buy" && price !== undefined) {
    const stop = read(draft.stopPrice, terms.quoteDecimals) ?? (trigger && !draft.stopLimit ? worstPrice("buy", [], 0n, trigger, terms) : undefined);
    if (stop === undefined) return undefined;
    if (stop > price) price = stop;
  }
  return price && size(price);
}

function read(written: string, decimals: number): bigint | undefined {
  try {
    return parseUnits(written, decimals);
  } catch (error) {
    if (error instanceof BadNumber) return undefined;
    throw error;
  }
}
