/** The question whether something is to be signed: one at a time, shown by parts/Confirm.svelte. */
import type { Description } from "../souk/describe.ts";

export interface Question {
  description: Description;
  answer(yes: boolean): void;
}

class Confirmations {
  pending = $state.raw<Question | undefined>(undefined);

  /** Shows what the bytes say, and answers whether the user wants it. A question that is open already is answered no. */
  ask(description: Description): Promise<boolean> {
    this.pending?.answer(false);
    return new Promise((resolve) => {
      const question: Question = {
        description,
        answer: (yes) => {
          if (this.pending === question) this.pending = undefined;
          resolve(yes);
        },
      };
      this.pending = question;
    });
  }
}

export const confirmations = new Confirmations();
