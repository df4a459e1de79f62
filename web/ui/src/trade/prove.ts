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

/** What the auction of a fill's block came to, in units of the base asset; undefined where it cannot be proven now. */
export interface Terms {
  reference: bigint;
  bid: bigint; // 0: nobody waited
  ask: bigint;
  /** The inner cross: its price, what traded there, and what found nobody. */
  cross: { price: bigint; volume: bigint; surplus: bigint; of: "buy" | "sell" } | undefined;
}

/** Has the auction of a fill's block proven (M-90). */
export async function provenTerms(fill: Fill): Promise<Terms | undefined> {
  try {
    const [a, market] = await Promise.all([prover().auction(fill.market, fill.height), prover().market(fill.market)]);
    const more = a.demand > a.supply;
    const cross = a.price === 0n ? undefined : {
      price: a.price, volume: a.volume * market.terms.lot, surplus: (more ? a.demand - a.supply : a.supply - a.demand) * market.terms.lot, of: more ? ("buy" as const) : ("sell" as const),
    };
    return { reference: a.reference, bid: a.bid, ask: a.ask, cross };
  } catch {
    return undefined;
  }
}

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
