/** What the prover's caller says, in English; the prover's own texts stay in the worker. */
export const callerText = {
  closed: "The proof was not needed any more.",
  ended: "The prover has ended. Reload the page.",
  locked: "Unlock your keys first.",
} as const;
