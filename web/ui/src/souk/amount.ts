/** Amounts of money: whole ledger units inside, decimal text at the edges (V-1 to V-3). */
import { coreText } from "./text.ts";

/** What somebody wrote is not an amount; the message says why. */
export class BadNumber extends Error {
  override readonly name = "BadNumber";
}

/** The largest amount, and the largest price (V-2). */
export const maxUnits = (1n << 64n) - 1n;

const t = coreText.number;

/** Reads a decimal number of an asset with so many decimals. Spaces around it are forgiven. */
export function parseUnits(text: string, decimals: number): bigint {
  const trimmed = text.trim();
  if (trimmed === "") throw new BadNumber(t.empty);
  if (trimmed.length > 64) throw new BadNumber(t.long);
  if (/^[-−]/.test(trimmed)) throw new BadNumber(t.negative);
  const parts = /^(\d+)(?:\.(\d+))?$/.exec(trimmed);
  if (!parts) throw new BadNumber(/^\d+(,\d+)+(\.\d+)?$/.test(trimmed) ? t.comma : t.form);
  const fraction = parts[2] ?? "";
  if (fraction.length > decimals) throw new BadNumber(t.decimals(decimals));
  const units = BigInt((parts[1] ?? "") + fraction.padEnd(decimals, "0"));
  if (units > maxUnits) throw new BadNumber(t.large);
  return units;
}

/** How formatUnits writes a number. */
export interface NumberForm {
  /** Puts a thin space between groups of three digits before the point. */
  group?: boolean;
  /** Leaves out zeros at the end of the decimals. */
  trim?: boolean;
}

/** Writes an amount with exactly the asset's decimals, or as the form says. */
export function formatUnits(units: bigint, decimals: number, form: NumberForm = {}): string {
  const sign = units < 0n ? "-" : "";
  const digits = (units < 0n ? -units : units).toString().padStart(decimals + 1, "0");
  let whole = digits.slice(0, digits.length - decimals);
  let fraction = digits.slice(digits.length - decimals);
  if (form.group) whole = whole.replace(/\B(?=(\d{3})+$)/g, "\u2009");
  if (form.trim) fraction = fraction.replace(/0+$/, "");
  return sign + whole + (fraction === "" ? "" : "." + fraction);
}

/** Multiplies a price and a quantity: quote units, rounded up or down (V-5). */
export function costOf(price: bigint, quantity: bigint, baseDecimals: number, round: "up" | "down"): bigint {
  const coin = 10n ** BigInt(baseDecimals);
  const product = price * quantity;
  return round === "up" ? (product + coin - 1n) / coin : product / coin;
}
