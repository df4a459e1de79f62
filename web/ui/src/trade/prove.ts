/** Has a fill's trade proven, and compares what is proven with what is shown (H-60 to H-62). */
import type { Fill } from "../money/read.ts";
import { ProofError } from "../proof/proof.ts";
import { prover } from "../state/facts.ts";
import { text } from "../text.ts";
import { differences } from "./same.ts";

export type TradeProof =
  | { state: "proven"; height: number; time: number }
  /** Somebody lied, or is broken. */
  | { state: "refused"; message: string }
  /** It could not be checked now. */
  | { state: "open"; message: string };

export async function provenTrade(fill: Fill): Promise<TradeProof> {
  try {
    const trade = await prover().trade(BigInt(fill.trade), fill.market, fill.height, fill.time);
    const wrong = differences(fill, trade);
    if (wrong.length > 0) return { state: "refused", message: text.trade.why.otherThanProven(wrong.join(", ")) };
    return { state: "proven", height: trade.at.height, time: trade.at.time };
  } catch (error) {
    const lied = error instanceof ProofError && error.kind === "refused";
    return { state: lied ? "refused" : "open", message: error instanceof Error ? error.message : String(error) };
  }
}
