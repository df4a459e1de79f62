/** Which servers count as different ones for what has to be confirmed (docs/spec/08-consensus.md, C-62 and C-65). */

/** A server that proofs are asked of. */
export interface ProofSource {
  url: string;
  /** The member's name by the founding contract; where else it is. */
  name: string;
  /** The founding contract names it. */
  founder: boolean;
}

/**
 * One source for each origin, in the order of the URLs: behind two paths of one host stands one server. Names are
 * those of the founding contract, for of the others any server could have made them up.
 */
export function sourcesOf(urls: readonly string[], founders: readonly { url: string; name: string }[]): ProofSource[] {
  const found = new Map<string, ProofSource>();
  for (const url of urls) {
    const origin = originOf(url);
    if (origin === "" || found.has(origin)) continue;
    const founder = founders.find((f) => originOf(f.url) === origin);
    found.set(origin, { url, name: founder?.name ?? url.replace(/^https?:\/\//, ""), founder: founder !== undefined });
  }
  return [...found.values()];
}

function originOf(url: string): string {
  try {
    return new URL(url).origin;
  } catch {
    return "";
  }
}
