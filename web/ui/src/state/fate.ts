/**
 * What became of a command is one server's word until its receipt is proven (H-80, H-83). A refusal that is not
 * may be a lie: the command is kept, and executed after its sender has sent another. A success that is not may be
 * one too: then the command waits for the moment at which it suits the server.
 */
import type { Schemas } from "souk-api";
import { connection } from "../net/connection.ts";
import { text } from "../text.ts";
import { announce } from "./announce.svelte.ts";
import { prover } from "./facts.ts";

type Receipt = Schemas["Receipt"];

/** How long a proof may take, ms: of a refusal, which is waited for, and of a success, which is not. */
const patience = { refusal: 3_000, success: 15_000 };
const pause = 250;
/** How many successes are looked at side by side; a user does not make more, and a program on the page need not. */
const most = 8;
let looking = 0;

/** Whether a block says so: proven by the members' signatures. */
export async function isProven(receipt: Receipt, within = patience.refusal): Promise<boolean> {
  if (receipt.height === 0) return false; // of what came into no block nothing can be proven
  for (const end = Date.now() + within; ; ) {
    try {
      const proven = await prover().receipt(receipt.id);
      return proven.code === receipt.code && proven.height === BigInt(receipt.height);
    } catch {
      if (Date.now() >= end) return false;
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

/** Looks, while the user goes on, whether a success is one. If it is not proven, other servers get the same bytes, which have one effect. */
export async function watch(receipt: Receipt, bytes: Uint8Array): Promise<void> {
  if (looking >= most) return;
  looking++;
  try {
    if (await isProven(receipt, patience.success)) return;
    const said = connection.answered?.title ?? "";
    const other = await connection.repeat(bytes, receipt.id);
    if (other?.code === receipt.code && other.height === receipt.height) return;
    announce.say(text.session.unproven(said, other ? other.message || String(other.code) : text.session.nothing), "bad");
  } finally {
    looking--;
  }
}
