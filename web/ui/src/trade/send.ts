/** Sends orders and what changes them, and says what became of that. */
import type { Schemas } from "souk-api";
import { announce, type Mood } from "../state/announce.svelte.ts";
import { facts } from "../state/facts.ts";
import { Cancelled, CommandRefused, session, type Wish } from "../state/session.svelte.ts";
import type { Body } from "../souk/body.ts";
import { text } from "../text.ts";
import { form } from "./form.svelte.ts";
import { outcome, sameMarket } from "./same.ts";
import type { Side, Terms } from "./terms.ts";

const t = text.trade.form;

/** Sends an order. Answers what is to be said in the form. */
export async function send(body: Body, terms: Terms, side: Side): Promise<string> {
  try {
    // Numbers were read and will be signed in these decimals: they must be those that are proven (H-90).
    if (!sameMarket(await facts.provenMarket(terms.id), terms)) throw new Error(t.otherMarket(terms.symbol));
    const receipt = await session.submit(body);
    form.keep();
    const said = outcome(receipt, side, terms, "quantity" in body ? body.quantity : 0n);
    // Fills are said by the account itself, as they are told.
    if (BigInt(receipt.filled_units ?? "0") === 0n) announce.say(said, receipt.status === "gone" ? "plain" : "good");
    return said;
  } catch (error) {
    return failed(error);
  }
}

/** Sends a cancel or an amend. Answers whether it was done. */
export async function change(body: Body, wish: Wish, done: (r: Schemas["Receipt"]) => string): Promise<boolean> {
  try {
    announce.say(done(await session.submit(body, wish)), "plain");
    return true;
  } catch (error) {
    failed(error);
    return false;
  }
}

/** Says why something was not done; nothing, where the user said no himself. */
function failed(error: unknown): string {
  if (error instanceof Cancelled) return "";
  const said = error instanceof CommandRefused || error instanceof Error ? error.message : t.unknown;
  const mood: Mood = "bad";
  announce.say(said, mood);
  return said;
}
