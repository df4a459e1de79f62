/** What keeps something from being proven. */

/**
 * Why something is not proven. refused: a server lied or is broken; old: the servers are behind what was
 * seen; unconfirmed: too few servers say the same; absent: proven not to be there; unreachable: nobody
 * answers, or not what was asked; fork: two blocks are signed; expired: trust is older than 14 days.
 */
export type ProblemKind = "refused" | "old" | "unconfirmed" | "absent" | "unreachable" | "fork" | "expired";

/** Something could not be proven. */
export class ProofError extends Error {
  override readonly name = "ProofError";
  constructor(
    message: string,
    readonly kind: ProblemKind,
    /** The server that is to blame, if one is. */
    readonly server?: string,
  ) {
    super(message);
  }
}

const ranks: Readonly<Record<ProblemKind, number>> = { unreachable: 0, old: 1, unconfirmed: 2, absent: 3, refused: 4, fork: 5, expired: 5 };

/** Of the problems of several servers the one that people must know of. */
export function worse(a: ProofError | undefined, b: ProofError): ProofError {
  return a && ranks[a.kind] >= ranks[b.kind] ? a : b;
}
