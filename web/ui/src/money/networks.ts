/** What forms must know of the networks that banks are on, besides their addresses (docs/spec/12-scripts.md, X-10). */
import { BadAddress } from "../souk/address.ts";
import { networkLabel, parseChainAddress } from "../souk/chain.ts";
import { text } from "../text.ts";

export type Chain = "bitcoin" | "litecoin" | "namecoin";

/** One line of the table of networks. Amounts are units of 10^-8 coins. */
export interface Network {
  name: string;
  chain: Chain;
  /** Blocks may end in a HogEx transaction with peg-outs. */
  mweb: boolean;
  /** Units per 1,000 virtual bytes below which nodes do not relay. */
  minRelay: bigint;
  /** Blocks to wait in addition for a payment out of a HogEx. */
  pegOutExtra: number;
  segwitHeight: number;
  /** Absent where there is no taproot: anybody could spend such an output. */
  taprootHeight?: number;
  confirmations: readonly Step[];
}

/** How deep a sum of up to and including upTo must be; the last step is without a bound. */
export interface Step {
  upTo?: bigint;
  blocks: number;
}

const coins = (n: bigint): bigint => n * 100_000_000n;

const rules = {
  bitcoin: { chain: "bitcoin", mweb: false, minRelay: 1000n, pegOutExtra: 0 },
  litecoin: { chain: "litecoin", mweb: true, minRelay: 1000n, pegOutExtra: 6 },
  namecoin: { chain: "namecoin", mweb: false, minRelay: 100_000n, pegOutExtra: 0 },
} as const;

const depths: Record<Chain | "regtest", readonly Step[]> = {
  bitcoin: [{ upTo: coins(1n), blocks: 3 }, { upTo: coins(10n), blocks: 6 }, { upTo: coins(100n), blocks: 12 }, { blocks: 36 }],
  litecoin: [{ upTo: coins(100n), blocks: 24 }, { upTo: coins(1000n), blocks: 48 }, { upTo: coins(10_000n), blocks: 96 }, { blocks: 288 }],
  namecoin: [{ upTo: coins(1000n), blocks: 24 }, { upTo: coins(10_000n), blocks: 48 }, { blocks: 96 }],
  regtest: [{ upTo: coins(10n), blocks: 2 }, { upTo: coins(100n), blocks: 3 }, { blocks: 6 }],
};

const networks: readonly Network[] = [
  { ...rules.bitcoin, name: "bitcoin", segwitHeight: 481_824, taprootHeight: 709_632, confirmations: depths.bitcoin },
  { ...rules.bitcoin, name: "bitcoin-testnet4", segwitHeight: 1, taprootHeight: 1, confirmations: depths.bitcoin },
  { ...rules.bitcoin, name: "bitcoin-signet", segwitHeight: 1, taprootHeight: 1, confirmations: depths.bitcoin },
  { ...rules.bitcoin, name: "bitcoin-regtest", segwitHeight: 1, taprootHeight: 1, confirmations: depths.regtest },
  { ...rules.litecoin, name: "litecoin", segwitHeight: 1_201_536, taprootHeight: 2_257_920, confirmations: depths.litecoin },
  { ...rules.litecoin, name: "litecoin-testnet", segwitHeight: 6048, taprootHeight: 2_435_328, confirmations: depths.litecoin },
  { ...rules.litecoin, name: "litecoin-regtest", segwitHeight: 432, taprootHeight: 432, confirmations: depths.regtest },
  { ...rules.namecoin, name: "namecoin", segwitHeight: 475_000, confirmations: depths.namecoin },
  { ...rules.namecoin, name: "namecoin-regtest", segwitHeight: 1, confirmations: depths.regtest },
];

export function networkOf(name: string): Network | undefined {
  return networks.find((x) => x.name === name);
}

/** How a network is called in sentences. */
export function titleOf(name: string): string {
  return networkLabel(name) ?? name;
}

/** How many blocks, the one of the payment included, a sum of payments in one block must have before it is credited. */
export function depthOf(network: Network, sum: bigint): number {
  return network.confirmations.find((c) => c.upTo === undefined || sum <= c.upTo)?.blocks ?? 0;
}

/** The output script that an address stands for, if the bank may pay to it in the chain's block after a height. Else BadAddress says why not. */
export function payTo(network: Network, address: string, tip: number): Uint8Array {
  const out = parseChainAddress(network.name, address);
  const first = out[0]; // 0 and 0x51 are the witness versions 0 and 1
  const active = first === 0 ? network.segwitHeight : first === 0x51 ? (network.taprootHeight ?? Infinity) : 0;
  if (tip + 1 < active) throw new BadAddress(text.money.withdraw.early(titleOf(network.name), active));
  return out;
}

/** An address as wallets read it out of a picture. */
export function uriOf(network: Network, address: string): string {
  return `${network.chain}:${address}`;
}
