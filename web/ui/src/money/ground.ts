/** What a withdrawal goes by: bank, keys and settings proven; the account's own deposit addresses as a server says. */
import { parseChainAddress } from "../souk/chain.ts";
import { hex } from "../souk/bytes.ts";
import type { At, ProvenBank, Signers } from "../proof/proof.ts";
import { prover } from "../state/facts.ts";
import { session } from "../state/session.svelte.ts";
import { readList, readText } from "./read.ts";
import { rulesAt, type RulesRecord } from "./rules.ts";

export interface Firm {
  bank: ProvenBank;
  signers: Signers;
  rules: RulesRecord;
  own: ReadonlySet<string> | undefined;
  at: At;
}

/** Proves what forms of a bank go by. Throws ProofError. */
export async function firmGround(asset: number): Promise<Firm> {
  const bank = await prover().bank(asset);
  const [signers, rules, own] = await Promise.all([
    prover().signers(bank.bank, bank.series - 1), prover().withdrawalSettings(session.address), ownOutputs(asset, bank.network).catch(() => undefined),
  ]);
  const now = Math.max(Date.now(), rules.at.time);
  return { bank: { ...bank, limits: bank.next && bank.next.from <= now ? bank.next.limits : bank.limits }, signers, rules: rulesAt(rules, now), own, at: bank.at };
}

const pages = 200;

/** The outputs of the account's own deposit addresses at a bank, hexadecimal. */
async function ownOutputs(asset: number, network: string): Promise<Set<string>> {
  const all = new Set<string>();
  let before = "";
  for (let page = 0; page < pages; page++) {
    const query = { bank: String(asset), limit: 100, ...(before ? { before } : {}) };
    const { data } = await session.api.GET("/v1/accounts/{address}/addresses", { params: { path: { address: session.address }, query } });
    if (!data) throw new Error("no addresses");
    for (const text of readList(data.addresses, "address", (a: { address: string }) => readText(a.address, "address"))) all.add(hex(parseChainAddress(network, text)));
    if (!data.next) break;
    before = data.next;
  }
  return all;
}
