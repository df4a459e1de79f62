/** What of the order form is used again next time. */
import { emptyDraft, fitted, formKinds, type Draft } from "./shape.ts";

export const keptPlace = "souk.form";

/** What is used again next time. Prices are not: they would be of yesterday. */
export type Kept = Pick<Draft, "kind" | "tif" | "by" | "postOnly" | "stopLimit"> & { sizes: Record<string, { quantity: string; amount: string }> };

/** Reads what was kept; what is missing or nonsense is as in an empty draft. */
export function readKept(text: string | null): Kept {
  let kept: Partial<Record<keyof Kept, unknown>> = {};
  try {
    const value: unknown = JSON.parse(text ?? "{}");
    if (typeof value === "object" && value !== null) kept = value;
  } catch {
    // Somebody else wrote there.
  }
  const kind = formKinds.find((k) => k === kept.kind) ?? emptyDraft.kind;
  const tif = (["gtc", "gtd", "ioc", "fok"] as const).find((x) => x === kept.tif) ?? emptyDraft.tif;
  const draft = fitted({ ...emptyDraft, kind, tif, by: kept.by === "amount" ? "amount" : "quantity", postOnly: kept.postOnly === true });
  const sizes: Kept["sizes"] = {};
  if (typeof kept.sizes === "object" && kept.sizes !== null) {
    for (const [symbol, size] of Object.entries(kept.sizes).slice(0, 100)) {
      const { quantity, amount } = (size ?? {}) as { quantity?: unknown; amount?: unknown };
      if (typeof quantity === "string" && typeof amount === "string") sizes[symbol] = { quantity: quantity.slice(0, 40), amount: amount.slice(0, 40) };
    }
  }
  return { kind: draft.kind, tif: draft.tif, by: draft.by, postOnly: draft.postOnly, stopLimit: kept.stopLimit === true, sizes };
}
