/**
 * Why a fill has its price: what the block's trades tell of the auction (M-40 to M-59). The
 * public record of a trade says whether it is of the inner cross; the rest is added up here.
 */
import type { Print } from "./tape.ts";
import type { Side } from "./terms.ts";

/** A level that a sweep took, or the inner cross. */
export interface Step {
  kind: "inner" | "sweep";
  side: Side;
  price: bigint;
  volume: bigint;
  trades: number;
}

export interface Why {
  /** How the fill's price came about. */
  rule: "inner" | "taker" | "maker";
  /** What the block traded at that price in that step. */
  volume: bigint;
  trades: number;
  /** The last price before the block (M-8); undefined: no trade before it is known. */
  reference: bigint | undefined;
  /** Whether the inner cross met at the reference itself. */
  atReference: boolean;
  /** What the block's orders took out of the book after the inner cross. Of which of them, the public record does not tell. */
  swept: bigint | undefined;
  sweptBy: Side | undefined;
  /** All that the block's auction did in this market, in order. */
  steps: Step[];
  /** The whole block is known; else the list of its trades was cut off. */
  whole: boolean;
}

/** Adds up the trades of a block, by number, into the steps of its auction. */
export function stepsOf(trades: readonly Print[]): Step[] {
  const steps: Step[] = [];
  for (const t of trades) {
    const last = steps[steps.length - 1];
    const kind = t.inner ? "inner" : "sweep";
    if (last && last.kind === kind && last.price === t.price && (t.inner || last.side === t.side)) {
      last.volume += t.quantity;
      last.trades++;
    } else {
      steps.push({ kind, side: t.side, price: t.price, volume: t.quantity, trades: 1 });
    }
  }
  return steps;
}

/**
 * Explains one fill. `trades` are the block's trades of the market by number, `before` the last
 * one of an earlier block.
 */
export function explain(fill: { id: number; role: "maker" | "taker" }, trades: readonly Print[], before: Print | undefined, whole: boolean): Why | undefined {
  const own = trades.find((t) => t.id === fill.id);
  if (!own) return undefined;
  const steps = stepsOf(trades);
  const step = steps.find((s) => s.price === own.price && (s.kind === "inner") === own.inner && (own.inner || s.side === own.side));
  if (!step) return undefined;
  const sweep = own.inner ? steps.find((s) => s.kind === "sweep") : undefined;
  const swept = sweep ? steps.filter((s) => s.kind === "sweep" && s.side === sweep.side) : [];
  return {
    rule: own.inner ? "inner" : fill.role,
    volume: step.volume,
    trades: step.trades,
    reference: before?.price,
    atReference: own.inner && before?.price === own.price,
    swept: sweep && swept.reduce((sum, s) => sum + s.volume, 0n),
    sweptBy: sweep?.side,
    steps,
    whole,
  };
}

/** The place in the list of trades behind all trades of a block: what `before` takes (H-34). */
export const afterBlock = (height: number, time: number): string => `${height}-${time}-${Number.MAX_SAFE_INTEGER}`;

/** Parts an answer, newest first, into the block's trades by number and the last one before. */
export function parted(newestFirst: readonly Print[], height: number, more: boolean): { trades: Print[]; before: Print | undefined; whole: boolean } {
  const trades = newestFirst.filter((t) => t.height === height).reverse();
  const before = newestFirst.find((t) => t.height < height);
  return { trades, before, whole: before !== undefined || !more };
}
