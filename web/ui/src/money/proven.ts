/** What of banks and of the account is proven, in the shapes that forms want. */
import type { Signers } from "./fee.ts";
import type { Limits } from "./plan.ts";

/** A bank as its proven leaf has it. */
export interface ProvenBank {
  bank: number;
  asset: number;
  network: string;
  /** How many series there are: new addresses are of the last. */
  series: number;
  tip: number;
  limits: Limits;
  next?: { limits: Limits; from: number };
}

/** A deposit address that was derived from proven keys, and proven to be the account's. */
export interface ProvenAddress {
  text: string;
  script: Uint8Array;
  series: number;
  index: number;
  used: boolean;
  signers: Signers;
  /** Servers that showed another one, and what they showed. */
  lies: { server: string; what: string }[];
}
