/** What commands about an account's keys and settings do. */
import { type Body, scopes } from "./body.ts";
import { equal, hex } from "./bytes.ts";
import { type Facts, type Line, type Said, Unclear, pairName, spanText, timeText } from "./describe.ts";
import { networkName, outputAddress } from "./describe-money.ts";
import { words } from "./describe-text.ts";

const { label, title, warn } = words;

/** Says what a command about the account does. signer is the key that is to sign it. */
export function describeAccount(b: Body, f: Facts, signer: Uint8Array): Said {
  switch (b.kind) {
    case "add-delegate":
      return addDelegate(b, f);
    case "remove-delegate":
      return {
        title: title.removeDelegate,
        lines: [{ label: label.key, value: hex(b.key) }],
        warnings: equal(b.key, signer) ? [warn.ownKey] : [],
      };
    case "rotate":
      return {
        title: title.rotate,
        lines: [{ label: label.key, value: hex(b.key) }],
        warnings: [...(equal(b.key, signer) ? [warn.ownKey] : []), warn.owner],
      };
    case "cancel-rotation":
      return { title: title.cancelRotation, lines: [] };
    case "set-withdrawals":
      return settings(b, f);
    default:
      throw new Unclear(words.refuse.combination);
  }
}

function addDelegate(b: Extract<Body, { kind: "add-delegate" }>, f: Facts): Said {
  const names = (["read", "trade", "transfer", "withdraw", "server"] as const).filter((s) => (b.scopes & scopes[s]) !== 0);
  const all = Object.values(scopes).reduce((sum, s) => sum | s, 0);
  if (names.length === 0 || (b.scopes & ~all) !== 0) throw new Unclear(words.refuse.scopes);
  const lines: Line[] = [
    { label: label.key, value: hex(b.key) },
    { label: label.may, value: names.map((n) => words.scope[n]).join(", ") },
  ];
  if (names.includes("trade")) {
    const markets = b.markets.map((m) => pairName(f.market(m))).join(", ");
    lines.push({ label: label.where, value: markets === "" ? words.allMarkets : markets });
  }
  lines.push({ label: label.until, value: b.expiry === 0n ? words.never : timeText(b.expiry) });
  const warnings: string[] = [];
  if ((b.scopes & (scopes.transfer | scopes.withdraw)) !== 0) warnings.push(warn.moneyKey);
  if (b.expiry === 0n) warnings.push(warn.forever);
  return { title: title.addDelegate, lines, warnings };
}

function settings(b: Extract<Body, { kind: "set-withdrawals" }>, f: Facts): Said {
  const lines: Line[] = [
    { label: label.delay, value: b.delay === 0n ? words.none : spanText(b.delay) },
    { label: label.only, value: b.only ? words.yes : words.no },
  ];
  for (const a of b.allowed) {
    const bank = f.bank(a.bank);
    lines.push({ label: `${label.list}: ${networkName(bank)}`, value: outputAddress(bank, a.output) });
  }
  const warnings: string[] = [];
  if (b.only) warnings.push(b.allowed.length === 0 ? warn.emptyList : warn.only);
  warnings.push(warn.loosens);
  return { title: title.settings, lines, warnings };
}
