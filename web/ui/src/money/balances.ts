/** The rows of the table of balances: what servers say, what is proven, and about what it is worth. */
import type { Account } from "../souk/leaf.ts";
import { bankDecimals } from "./plan.ts";
import type { Balance } from "./read.ts";
import { convert, type Rate } from "./value.ts";

export interface Row extends Balance {
  /** In the quote asset; absent if no market leads there. */
  value: bigint | undefined;
  /** What is proven is what is said. */
  proven: boolean;
}

/** Assets of which the proof has other sums than the servers' word. What changed since the proof is among them, too. */
export function differing(said: readonly Balance[], proven: Pick<Account, "balances">): number[] {
  const held = (b: Balance) => b.orders + b.withdrawing;
  const wrong = said.filter((b) => {
    const p = proven.balances.find((x) => x.asset === b.asset);
    return (p?.available ?? 0n) !== b.available || (p?.held ?? 0n) !== held(b);
  });
  const unsaid = proven.balances.filter((p) => p.available + p.held > 0n && !said.some((b) => b.asset === p.asset));
  return [...wrong, ...unsaid].map((b) => b.asset);
}

/** Said balances with the sums that are proven in their place. What is held is one sum in a proof. */
export function corrected(said: readonly Balance[], proven: Pick<Account, "balances">, known: (asset: number) => { symbol: string; decimals: number } | undefined): Balance[] {
  return proven.balances.flatMap((p) => {
    const old = said.find((x) => x.asset === p.asset);
    const b = old ?? known(p.asset);
    if (!b) return [];
    const withdrawing = old && old.withdrawing <= p.held ? old.withdrawing : 0n;
    return [{ asset: p.asset, symbol: b.symbol, decimals: b.decimals, available: p.available, orders: p.held - withdrawing, withdrawing, total: p.available + p.held }];
  });
}

/** Rows of nothing for coins that can be deposited. */
export function missingOf(banks: readonly { asset: number; symbol: string }[], has: readonly Balance[]): Balance[] {
  return banks
    .filter((b) => !has.some((x) => x.asset === b.asset))
    .map(({ asset, symbol }) => ({ asset, symbol, decimals: bankDecimals, available: 0n, orders: 0n, withdrawing: 0n, total: 0n }));
}

export function rowsOf(balances: readonly Balance[], proven: Pick<Account, "balances"> | undefined, quote: string, rates: readonly Rate[]): Row[] {
  const off = proven && differing(balances, proven);
  return balances.map((b) => ({
    ...b, value: quote === "" ? undefined : convert(b.total, b.symbol, quote, rates), proven: off !== undefined && !off.includes(b.asset),
  }));
}
