/** What commands that move money do. */
import { BadAddress } from "./address.ts";
import { formatUnits } from "./amount.ts";
import type { Body } from "./body.ts";
import { equal, hex, isZero } from "./bytes.ts";
import { chainAddress, networkLabel } from "./chain.ts";
import { type BankFacts, type Facts, type Line, type Said, Unclear, timeText } from "./describe.ts";
import { words } from "./describe-text.ts";

const { label, title, warn } = words;

/** Says what a command about money does; undefined if it is about something else. */
export function describeMoney(b: Body, f: Facts): Said | undefined {
  switch (b.kind) {
    case "transfer":
      return transfer(b, f);
    case "withdraw":
      return withdraw(b, f);
    case "donate": {
      const { asset } = f.bank(b.bank);
      return { title: title.donate(f.amount(asset, some(b.amount))), lines: [], warnings: [warn.donate, warn.final] };
    }
    case "cancel-withdrawal":
      return { title: title.cancelWithdrawal, lines: [{ label: label.withdrawal, value: String(b.withdrawal) }] };
    case "new-address": {
      const bank = f.bank(b.bank);
      return { title: title.newAddress(bank.asset.symbol), lines: [{ label: label.network, value: networkName(bank) }] };
    }
    case "lock":
      return lock(b, f);
    case "claim":
      return {
        title: title.claim,
        lines: [{ label: label.escrow, value: String(b.escrow) }, { label: label.secret, value: hex(b.preimage) }],
        warnings: [warn.secret],
      };
    case "refund":
      return { title: title.refund, lines: [{ label: label.escrow, value: String(b.escrow) }], warnings: [warn.back] };
    case "dispute":
      return { title: title.dispute, lines: [{ label: label.escrow, value: String(b.escrow) }] };
    case "resolve":
      return { title: title.resolve(b.pay), lines: [{ label: label.escrow, value: String(b.escrow) }], warnings: [warn.final] };
    default:
      return undefined;
  }
}

function some(units: bigint): bigint {
  if (units === 0n) throw new Unclear(words.refuse.zero);
  return units;
}

function transfer(b: Extract<Body, { kind: "transfer" }>, f: Facts): Said {
  const amount = f.amount(f.asset(b.asset), some(b.amount));
  const lines: Line[] = [{ label: label.amount, value: amount }, { label: label.to, value: f.address(b.to) }];
  const warnings: string[] = [warn.final];
  if (equal(b.to, f.world.account)) warnings.unshift(warn.self);
  if (b.memo !== "") {
    lines.push({ label: label.memo, value: visible(b.memo) });
    warnings.push(warn.memo);
  }
  return { title: title.transfer(amount), lines, warnings };
}

function withdraw(b: Extract<Body, { kind: "withdraw" }>, f: Facts): Said {
  const bank = f.bank(b.bank);
  const amount = f.amount(bank.asset, some(b.amount));
  const warnings: string[] = [warn.address, warn.signed];
  if (b.maxFee * 20n > b.amount) warnings.unshift(warn.fee(formatUnits((b.maxFee * 1000n) / b.amount, 1, { trim: true })));
  return {
    title: title.withdraw(amount),
    lines: [
      { label: label.network, value: networkName(bank) },
      { label: label.to, value: outputAddress(bank, b.output) },
      { label: label.amount, value: amount },
      { label: label.fee, value: f.amount(bank.asset, b.maxFee) },
      { label: label.total, value: f.amount(bank.asset, b.amount + b.maxFee) },
    ],
    warnings,
  };
}

function lock(b: Extract<Body, { kind: "lock" }>, f: Facts): Said {
  const amount = f.amount(f.asset(b.asset), some(b.amount));
  const arbitrated = !isZero(b.arbiter);
  const lines: Line[] = [
    { label: label.amount, value: amount },
    { label: label.payee, value: f.address(b.payee) },
    { label: label.deadline, value: timeText(b.deadline) },
    { label: label.arbiter, value: arbitrated ? f.address(b.arbiter) : words.none },
  ];
  if (arbitrated) lines.push({ label: label.window, value: timeText(b.deadline + b.window) });
  lines.push({ label: label.hash, value: hex(b.hash) });
  if (b.memo !== "") lines.push({ label: label.memo, value: visible(b.memo) });
  return { title: title.lock(amount), lines, warnings: [arbitrated ? warn.arbiter : warn.noArbiter] };
}

/** The network of a bank, for people. */
export function networkName(bank: BankFacts): string {
  return networkLabel(bank.network) ?? bank.network;
}

/** The address of an output; without one nobody can compare where the money goes. */
export function outputAddress(bank: BankFacts, output: Uint8Array): string {
  try {
    return chainAddress(bank.network, output);
  } catch (error) {
    if (error instanceof BadAddress) throw new Unclear(words.refuse.output);
    throw error;
  }
}

/** A text with every sign that hides or turns others around shown as its number. */
function visible(text: string): string {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (c) => `\\u{${(c.codePointAt(0) ?? 0).toString(16)}}`);
}
