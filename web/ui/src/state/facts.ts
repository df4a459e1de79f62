/**
 * What is proven of assets, markets and banks, by number: with these alone commands are said in
 * words and signed (docs/spec/10-http.md, H-90).
 */
import type { Key } from "../souk/keys.ts";
import type { World } from "../souk/describe.ts";

class Facts {
  /** The world in which sign bytes are read: all that they name, proven. */
  async world(_toSign: Uint8Array, _key: Key): Promise<World> {
    throw new Error("nothing is proven yet");
  }
}

export const facts = new Facts();
