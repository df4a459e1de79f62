import { expect, test } from "vitest";
import { depositRow, fillRow, paymentRow, table, withdrawalRow } from "./export.ts";
import type { Deposit, Fill, Payment, Withdrawal } from "./read.ts";

const fill: Fill = {
  trade: 9, order: 5, market: 1, symbol: "BTC-EUR", side: "buy", role: "taker", price: 5_000_000n, quantity: 10_000_000n, value: 500_000n, fee: 20_000n, height: 8,
  time: 1_790_000_000_000, baseDecimals: 8, quoteDecimals: 2,
};

test("fills: one row each, a fee in what the side receives", () => {
  expect(table("fills", [fillRow(fill), fillRow({ ...fill, side: "sell", fee: 100n })])).toBe(
    "time,market,side,role,price,quantity,value,fee,fee_asset,order,trade,block\r\n" +
      "2026-09-21T14:13:20.000Z,BTC-EUR,buy,taker,50000.00,0.10000000,5000.00,0.00020000,BTC,5,9,8\r\n" +
      "2026-09-21T14:13:20.000Z,BTC-EUR,sell,taker,50000.00,0.10000000,5000.00,1.00,EUR,5,9,8\r\n",
  );
});

test("what strangers write is never a formula", () => {
  const payment: Payment = { kind: "received", symbol: "EUR", amount: { units: 500n, decimals: 2 }, other: "souk1x", memo: '=HYPERLINK("http://evil.example")', height: 3, time: 0 };
  const line = table("payments", [paymentRow(payment)]).split("\r\n")[1];
  expect(line).toBe(`1970-01-01T00:00:00.000Z,received,EUR,5.00,souk1x,"'=HYPERLINK(""http://evil.example"")",3`);
  const hostile = { ...fill, symbol: "=1+1" } as Fill;
  expect(table("fills", [fillRow(hostile)]).split(",")[12]).toContain("'=1+1");
});

test("every row has as many cells as the head", () => {
  const deposit: Deposit = {
    symbol: "BTC", network: "bitcoin-regtest", address: "bcrt1q", amount: 1n, decimals: 8, tx: "ab", output: 0, state: "seen", members: 1, needed: 3, depth: 0,
    required: undefined, height: undefined, index: 0, series: 0,
  };
  const withdrawal: Withdrawal = {
    id: 7, symbol: "BTC", network: "bitcoin-regtest", address: "bcrt1q", amount: 1n, maxFee: 2n, fee: undefined, decimals: 8, state: "waiting", reason: "turn", asked: 5, from: undefined,
    time: undefined, signed: undefined, needed: undefined, depth: undefined, required: undefined, tx: undefined, output: 0,
  };
  for (const [kind, row] of [["deposits", depositRow(deposit)], ["withdrawals", withdrawalRow(withdrawal)], ["fills", fillRow(fill)]] as const) {
    const [head = "", line = ""] = table(kind, [row]).split("\r\n");
    expect(line.split(",")).toHaveLength(head.split(",").length);
  }
});
