import { describe, expect, test } from "vitest";
import { fromHex } from "../souk/bytes.ts";
import { networkOf } from "./networks.ts";
import { feeOf, inputWeight, outputWeight, payoutFee, transactionWeight } from "./fee.ts";

describe("fees", () => {
  test("Y-56: the example: 3 of 4 sign one input, two payees and the change", () => {
    const input = inputWeight({ threshold: 3, keys: 4 });
    expect(input).toBe(525);
    expect([outputWeight(22), outputWeight(34)]).toEqual([124, 172]);
    const weight = transactionWeight([input], [124, 172, 172]);
    expect(weight).toBe(1035);
    expect(feeOf(1000n, weight)).toBe(259n);
  });

  test("a recovery makes inputs heavier by its keys, its lock and a selector", () => {
    const plain = inputWeight({ threshold: 3, keys: 4 });
    // 3 + 2 keys, IF ELSE ENDIF CHECKSEQUENCEVERIFY DROP, a push of 3 bytes, the selector, and the script is longer than 252 bytes or not.
    const sequence = (1 << 22) | 30_713;
    expect(inputWeight({ threshold: 3, keys: 4, recovery: { keys: 2, sequence } }) - plain).toBe(3 + 68 + 5 + 4 + 2);
    expect(inputWeight({ threshold: 3, keys: 4, recovery: { keys: 5, sequence: 144 } }) - plain).toBe(3 + 170 + 5 + 3 + 2 + 2);
  });

  test("the rate is bounded as members bound it", () => {
    const n = networkOf("bitcoin-regtest");
    if (!n) throw new Error("no network");
    const out = fromHex("0014751e76e8199196d454941c45d1b3a323f1433bd6");
    const s = { threshold: 3, keys: 4 };
    const at = (rate: bigint) => payoutFee(s, n, out, rate).estimate;
    expect(at(0n)).toBe(at(1000n));
    expect(at(10n ** 18n)).toBe(at(1_000_000n));
    expect(payoutFee(s, n, out, 2000n).least).toBe(31n);
  });
});
