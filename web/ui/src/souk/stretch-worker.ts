/** Stretches one passphrase, off the main thread. */
import { type Stretch, stretchKey } from "./stretch.ts";

const scope = globalThis as unknown as {
  postMessage(key: Uint8Array): void;
  onmessage: ((event: { data: Stretch }) => void) | null;
};

scope.onmessage = ({ data }) => {
  const key = stretchKey(data);
  data.text.fill(0);
  scope.postMessage(key);
};
