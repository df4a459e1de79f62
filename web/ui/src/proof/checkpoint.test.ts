import { expect, test } from "vitest";
import { hex } from "../souk/bytes.ts";
import { readCheckpoint, writeCheckpoint } from "./checkpoint.ts";

const hash = "0123456789abcdef".repeat(4);

test("a checkpoint is read as it is written", () => {
  const read = readCheckpoint(`  ${writeCheckpoint({ height: 1200, hash }).toUpperCase()}\n`);
  expect(read?.height).toBe(1200);
  expect(hex(read?.hash ?? new Uint8Array())).toBe(hash);
});

test.each(["", hash, `0:${hash}`, `-1:${hash}`, `1200:${hash}0`, `1200:${hash.slice(2)}`, `12 00:${hash}`, `99999999999999999:${hash}`])("%s is none", (text) => {
  expect(readCheckpoint(text)).toBeUndefined();
});
