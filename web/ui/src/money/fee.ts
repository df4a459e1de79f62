/** What a withdrawal costs: the weights of a bank's transactions (docs/spec/12-scripts.md, X-63, X-64) and the rate that members know. */
import type { Network } from "./networks.ts";

/** By how much the bound of a fee should exceed what it costs now if nobody shares the transaction. */
export const boundFactor = 3n;

/** Largest rate in units per 1,000 virtual bytes, but where the least one is high (Y-53). */
const maxRate = 1_000_000n;

/** The keys of a series, as far as they count for weights. */
export interface Signers {
  threshold: number;
  keys: number;
  /** Keys of the recovery and its lock as an input's sequence; absent without one. */
  recovery?: { keys: number; sequence: number };
}

const witnessScale = 4;
const inputSize = 32 + 4 + 1 + 4;
const signatureSize = 71 + 1;

const compactSize = (n: number): number => (n < 0xfd ? 1 : n <= 0xffff ? 3 : 5);

/** Bytes of the shortest push of a number above zero. */
function pushSize(n: number): number {
  if (n <= 16) return 1;
  let size = 0;
  for (let rest = n; rest > 0; rest = Math.floor(rest / 256)) size++;
  const top = Math.floor(n / 256 ** (size - 1));
  return 1 + size + (top >= 0x80 ? 1 : 0);
}

/** The weight of an input that spends a coin of the series, with signatures in their longest form. */
export function inputWeight(s: Signers): number {
  let size = 3 + 34 * s.keys;
  let selector = 0;
  if (s.recovery) {
    size += 3 + 34 * s.recovery.keys + 5 + pushSize(s.recovery.sequence);
    selector = 2;
  }
  return witnessScale * inputSize + 1 + 1 + s.threshold * (1 + signatureSize) + selector + compactSize(size) + size;
}

export function outputWeight(scriptSize: number): number {
  return witnessScale * (8 + compactSize(scriptSize) + scriptSize);
}

export function transactionWeight(inputs: readonly number[], outputs: readonly number[]): number {
  const fixed = witnessScale * (4 + compactSize(inputs.length) + compactSize(outputs.length) + 4) + 2;
  return [...inputs, ...outputs].reduce((sum, w) => sum + w, fixed);
}

/** What a transaction of this weight pays at a rate in units per 1,000 virtual bytes, rounded up. */
export function feeOf(rate: bigint, weight: number): bigint {
  const size = BigInt(Math.ceil(weight / witnessScale));
  return (rate * size + 999n) / 1000n;
}

/** What a withdrawal costs at a rate if nobody shares its transaction, and what its output costs at the lowest rate. */
export function payoutFee(newest: Signers, network: Network, script: Uint8Array, rate: bigint): { estimate: bigint; least: bigint } {
  const top = network.minRelay * 10n > maxRate ? network.minRelay * 10n : maxRate;
  const floor = rate > network.minRelay ? rate : network.minRelay;
  const change = outputWeight(34); // the change is a script hash of version 0
  const weight = transactionWeight([inputWeight(newest)], [outputWeight(script.length), change]);
  return { estimate: feeOf(floor < top ? floor : top, weight), least: feeOf(network.minRelay, outputWeight(script.length)) };
}
