/**
 * What is proven of assets, markets and banks, by number: with these alone commands are said in
 * words and signed (docs/spec/10-http.md, H-90). And the page's one prover, which proves them.
 */
import { connection, type Server } from "../net/connection.ts";
import { Prover } from "../proof/proof.ts";
import type { World } from "../souk/describe.ts";
import type { Key } from "../souk/keys.ts";

type Sign = (method: string, target: string) => string | Promise<string>;

let current: { prover: Prover; of: string } | undefined;
let signer: Sign | undefined;

/** Whose account is read: the session sets it. */
export function proveFor(sign: Sign | undefined): void {
  signer = sign;
}

/** The page's prover. It is made anew when the exchange or its servers are others. */
export function prover(): Prover {
  const of = [connection.id, ...connection.servers.map((s) => s.url)].join(" ");
  if (current?.of === of) return current.prover;
  current?.prover.close();
  const sources = connection.servers.map((s: Server) => ({ url: s.url, name: s.title }));
  const sign: Sign = (method, target) => {
    if (!signer) throw new Error("the keys are locked");
    return signer(method, target);
  };
  current = { of, prover: new Prover({ id: connection.id, founding: connection.founding, sources, sign }) };
  return current.prover;
}

class Facts {
  /** The world in which sign bytes are read: all that they name, proven. */
  async world(_toSign: Uint8Array, _key: Key): Promise<World> {
    throw new Error("nothing is proven yet");
  }
}

export const facts = new Facts();
