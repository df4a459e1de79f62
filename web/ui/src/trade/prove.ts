/** Has a fill's trade proven, and compares what is proven with what is shown (H-60 to H-62). */
import type { Fill } from "../money/read.ts";
import { ProofError } from "../proof/proof.ts";
import type { Trade } from "../souk/leaf.ts";
import { prover } from "../state/facts.ts";
import { text } from "../text.ts";

export type TradeProof =
  | { state: "proven"; height: number; time: number }
  /** Somebody lied, or is broken. */
  | { state: "refused"; message: string }
  /** It could not be checked now. */
  | { state: "open"; message: string };

type Shown = Pick<Fill, "trade" | "order" | "market" | "side" | "role" | "price" | "quantity" | "height" | "time">;

/** What of a fill is not as its proven trade says; empty if all is. */
export function differences(fill: Shown, trade: Trade): string[] {
  const t = text.trade.why.parts;
  // Of the inner cross the maker is the seller and the taker the buyer; both are told as takers.
  const own = trade.inner ? (fill.side === "buy" ? trade.taker : trade.maker) : fill.role === "taker" ? trade.taker : trade.maker;
  const side = trade.inner || fill.role === "taker" ? trade.taking : trade.taking === "buy" ? "sell" : "buy";
  const wrong: string[] = [];
  if (trade.id !== BigInt(fill.trade) || trade.market !== fill.market) wrong.push(t.name);
  if (trade.price !== fill.price) wrong.push(t.price);
  if (trade.quantity !== fill.quantity) wrong.push(t.quantity);
  if (own !== BigInt(fill.order)) wrong.push(t.order);
  if (!trade.inner && side !== fill.side) wrong.push(t.side);
  if (trade.height !== BigInt(fill.height) || trade.time !== BigInt(fill.time)) wrong.push(t.block);
  return wrong;
}

export async function provenTrade(fill: Fill): Promise<TradeProof> {
  try {
    const trade = await prover().trade(BigInt(fill.trade), fill.market);
    const wrong = differences(fill, trade as unknown as Trade);
    if (wrong.length > 0) return { state: "refused", message: text.trade.why.otherThanProven(wrong.join(", ")) };
    return { state: "proven", height: trade.at.height, time: trade.at.time };
  } catch (error) {
    const lied = error instanceof ProofError && error.kind === "refused";
    return { state: lied ? "refused" : "open", message: error instanceof Error ? error.message : String(error) };
  }
}
