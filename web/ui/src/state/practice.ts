/** Play money, where a server gives it. */
import type { Schemas } from "souk-api";
import { connection } from "../net/connection.ts";
import { session } from "./session.svelte.ts";

/** An amount of play money, as the server writes it. */
export interface Gift {
  symbol: string;
  amount: string;
}

/** No server gives play money now; the message is for people. */
export class NoPractice extends Error {
  override readonly name = "NoPractice";
}

const target = "/v1/practice";

/** What is given here; empty: nothing. */
export async function gifts(): Promise<Gift[]> {
  try {
    const response = await connection.fetch(target);
    if (!response.ok) return [];
    const told = (await response.json()) as { offered: boolean; gifts: Gift[] };
    return told.offered ? told.gifts : [];
  } catch {
    return [];
  }
}

/** Has the session's account given play money, once. It is in a block when this answers. */
export async function getPractice(): Promise<Gift[]> {
  const response = await connection.fetch(target, { method: "POST", headers: { "Souk-Read": session.sign("POST", target) } });
  if (!response.ok) throw new NoPractice(((await response.json()) as Schemas["Error"]).detail);
  const told = (await response.json()) as { height: number; gifts: Gift[] };
  connection.heard(told.height);
  return told.gifts;
}
