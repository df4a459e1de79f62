/** Which parts of an order go together (M-6, M-7, M-62), and so which fields the form shows. */
import type { OrderKind, TIF } from "../souk/body.ts";

export type FormKind = OrderKind | "oco";

export const formKinds: readonly FormKind[] = [
  "limit", "market", "stop", "stop-limit", "take-profit", "take-profit-limit", "oco",
];

/** Kinds that wait for a trigger. */
export const waits = (kind: FormKind): boolean => kind.startsWith("stop") || kind.startsWith("take-profit");

/** Kinds whose price is a worst price: they never rest. */
export const atMarket = (kind: FormKind): boolean => kind === "market" || kind === "stop" || kind === "take-profit";

/** The times in force that a kind may have. */
export function tifsOf(kind: FormKind, byAmount: boolean): readonly TIF[] {
  switch (kind) {
    case "limit":
      return ["gtc", "gtd", "ioc", "fok"];
    case "market":
      return byAmount ? ["ioc"] : ["ioc", "fok"];
    case "stop":
    case "take-profit":
    case "oco":
      return ["gtc", "gtd"];
    default:
      return ["gtc", "gtd", "ioc"];
  }
}

/** Whether an order may be post-only. */
export const mayPostOnly = (kind: FormKind, tif: TIF): boolean =>
  (kind === "limit" || kind === "stop-limit" || kind === "take-profit-limit") && (tif === "gtc" || tif === "gtd");

/** Whether an order may be by quote amount. */
export const mayAmount = (kind: FormKind): boolean => kind === "market";

/** What the form holds: the texts as they were written. */
export interface Draft {
  side: "buy" | "sell";
  kind: FormKind;
  tif: TIF;
  postOnly: boolean;
  by: "quantity" | "amount";
  quantity: string;
  amount: string;
  /** Limit or, of kinds at market, worst price: empty lets the form choose it. */
  price: string;
  trigger: string;
  /** Of an OCO's stop leg: its limit, or its worst price. */
  stopPrice: string;
  stopLimit: boolean;
  /** A local time, as a datetime-local field writes it. */
  expiry: string;
  client: string;
  stopClient: string;
}

export const emptyDraft: Draft = {
  side: "buy", kind: "limit", tif: "gtc", postOnly: false, by: "quantity", quantity: "", amount: "", price: "",
  trigger: "", stopPrice: "", stopLimit: false, expiry: "", client: "", stopClient: "",
};

/** Makes the parts of a draft go together after its kind was changed. */
export function fitted(draft: Draft): Draft {
  const by = mayAmount(draft.kind) ? draft.by : "quantity";
  const tifs = tifsOf(draft.kind, by === "amount");
  const tif = tifs.includes(draft.tif) ? draft.tif : (tifs[0] as TIF);
  return { ...draft, by, tif, postOnly: draft.postOnly && mayPostOnly(draft.kind, tif) };
}
