/** Looks for one stamp, off the main thread. */
import { mint } from "./stamp.ts";

/** From which number on to look, and how far apart: several workers look at numbers of their own. */
export interface Search {
  id: Uint8Array;
  target: bigint;
  from: number;
  step: number;
}

const scope = globalThis as unknown as {
  postMessage(stamp: bigint): void;
  onmessage: ((event: { data: Search }) => void) | null;
};

scope.onmessage = ({ data: { id, target, from, step } }) => {
  const tries = 1 << 16;
  for (let at = from; ; at += tries * step) {
    const stamp = mint(id, target, at, step, tries);
    if (stamp === undefined) continue;
    scope.postMessage(stamp);
    return;
  }
};
