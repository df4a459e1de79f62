/** What the page's prover answers, as views show it: being checked, proven, or why not. */
import { hex } from "../souk/bytes.ts";
import type { Account } from "../souk/leaf.ts";
import { ProofError, type Proven } from "../proof/proof.ts";
import { prover } from "../state/facts.ts";

/** One thing that is proven now and then. */
export class Check<T> {
  busy = $state(false);
  value = $state.raw<Proven<T> | undefined>(undefined);
  problem = $state("");
  #turn = 0;

  /** Has it proven. What was proven before stays until the answer is there. */
  async run(prove: () => Promise<Proven<T>>): Promise<Proven<T> | undefined> {
    const turn = ++this.#turn;
    this.busy = true;
    try {
      const value = await prove();
      if (turn !== this.#turn) return undefined;
      this.value = value;
      this.problem = "";
      return value;
    } catch (error) {
      if (turn !== this.#turn) return undefined;
      this.value = undefined;
      this.problem = reason(error);
      return undefined;
    } finally {
      if (turn === this.#turn) this.busy = false;
    }
  }

  forget(): void {
    this.#turn++;
    this.busy = false;
    this.value = undefined;
    this.problem = "";
  }
}

/** Why something could not be done, for people. */
export function reason(error: unknown): string {
  if (error instanceof ProofError && error.server && !error.message.includes(error.server)) return `${error.server}: ${error.message}`;
  return error instanceof Error ? error.message : String(error);
}

class Proofs {
  /** Of the session's account. */
  readonly account = new Check<Account>();
  #of = "";

  async proveAccount(address: string): Promise<Proven<Account> | undefined> {
    if (address !== this.#of) this.account.forget();
    this.#of = address;
    return this.account.run(() => prover().account(address));
  }

  /** Another account, or none: nothing of the former one is shown. */
  forget(): void {
    this.#of = "";
    this.account.forget();
  }
}

export const proofs = new Proofs();

/** A key of another one than the session's, as text. */
export const keyText = (key: Uint8Array): string => hex(key);
