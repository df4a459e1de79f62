/** Bodies of the commands that a trader sends: kinds 1 to 11, 15 to 19 and 25 to 29 of B-10. */
import { BadBytes, Reader, Writer, compare } from "./bytes.ts";

export type Side = "buy" | "sell";

/** Numbers of the order kinds are those of M-6. */
export type OrderKind = "limit" | "market" | "stop" | "stop-limit" | "take-profit" | "take-profit-limit";

/** Times in force: good till cancelled, good till date, immediate or cancel, fill or kill. */
export type TIF = "gtc" | "gtd" | "ioc" | "fok";

/** A live order: by the ledger's id, or, if that is zero, by the client order id. */
export interface Target {
  order: bigint;
  client: string;
}

/** An output that withdrawals may pay to. */
export interface Allowed {
  bank: number;
  output: Uint8Array; // the output script
}

/**
 * What a command says. Numbers of assets, markets and banks are plain numbers; everything
 * that takes 64 bits is a bigint: amounts and prices in ledger units, ids, times in ms.
 */
export type Body =
  | { kind: "transfer"; to: Uint8Array; asset: number; amount: bigint; memo: string }
  | {
      kind: "place";
      market: number;
      side: Side;
      order: OrderKind;
      tif: TIF;
      postOnly: boolean;
      price: bigint; // limit or worst price; zero for a market order without one
      quantity: bigint; // base units; zero if by quote amount
      quote: bigint; // quote units, of market orders only; zero if by quantity
      trigger: bigint; // of stops and take-profits
      expiry: bigint; // ms, for gtd
      client: string;
    }
  | {
      kind: "place-oco";
      market: number;
      side: Side;
      stopLimit: boolean;
      quantity: bigint;
      limit: bigint; // price of the limit leg
      trigger: bigint; // of the stop leg
      price: bigint; // worst price of the stop leg, or its limit if stopLimit
      expiry: bigint; // ms; zero for good till cancelled
      limitClient: string;
      stopClient: string;
    }
  | { kind: "cancel"; target: Target }
  | { kind: "cancel-all"; market: number } // zero: in all markets
  | { kind: "cancel-all-after"; delay: bigint } // ms; zero disarms
  | { kind: "amend"; target: Target; price: bigint; quantity: bigint } // price zero keeps it; quantity is the whole one
  | { kind: "add-delegate"; key: Uint8Array; scopes: number; expiry: bigint; markets: number[] }
  | { kind: "remove-delegate"; key: Uint8Array }
  | { kind: "rotate"; key: Uint8Array }
  | { kind: "cancel-rotation" }
  | {
      kind: "lock";
      payee: Uint8Array;
      asset: number;
      amount: bigint;
      hash: Uint8Array; // SHA-256 of the preimage that pays
      deadline: bigint; // ms
      arbiter: Uint8Array; // 20 zero bytes: none
      window: bigint; // ms
      memo: string;
    }
  | { kind: "claim"; escrow: bigint; preimage: Uint8Array }
  | { kind: "refund"; escrow: bigint }
  | { kind: "dispute"; escrow: bigint }
  | { kind: "resolve"; escrow: bigint; pay: boolean }
  | { kind: "set-withdrawals"; delay: bigint; only: boolean; allowed: Allowed[]; salt: Uint8Array }
  | { kind: "cancel-withdrawal"; withdrawal: bigint }
  | { kind: "new-address"; bank: number; salt: Uint8Array }
  | { kind: "withdraw"; bank: number; output: Uint8Array; amount: bigint; maxFee: bigint; salt: Uint8Array }
  | { kind: "donate"; bank: number; amount: bigint };

export type Kind = Body["kind"];

/** Numbers of the kinds. */
export const kinds: Readonly<Record<Kind, number>> = {
  transfer: 1, place: 2, "place-oco": 3, cancel: 4, "cancel-all": 5, "cancel-all-after": 6, amend: 7,
  "add-delegate": 8, "remove-delegate": 9, rotate: 10, "cancel-rotation": 11,
  lock: 15, claim: 16, refund: 17, dispute: 18, resolve: 19,
  "set-withdrawals": 25, "cancel-withdrawal": 26, "new-address": 27, withdraw: 28, donate: 29,
};

const byNumber = new Map(Object.entries(kinds).map(([k, n]) => [n, k as Kind]));

export function kindOf(number: number): Kind | undefined {
  return byNumber.get(number);
}

/** What a delegate may do; a mask of these bits (B-11). */
export const scopes = { read: 1, trade: 2, transfer: 4, withdraw: 8, server: 16 } as const;

/** Limits of texts and lists in bodies. */
export const limits = { memo: 128, client: 36, markets: 64, preimage: 64, output: 64, allowed: 16, salt: 16 } as const;

const sides: readonly Side[] = ["buy", "sell"];
const orders: readonly OrderKind[] = ["limit", "market", "stop", "stop-limit", "take-profit", "take-profit-limit"];
const tifs: readonly TIF[] = ["gtc", "gtd", "ioc", "fok"];

/** Reads a number from 1 on as one of a list. */
function readOne<T>(r: Reader, list: readonly T[]): T {
  const value = list[r.u8() - 1];
  if (value === undefined) throw new BadBytes("a number stands for nothing that this page knows");
  return value;
}

function writeOne<T>(w: Writer, list: readonly T[], value: T): void {
  w.u8(list.indexOf(value) + 1);
}

function readClient(r: Reader): string {
  const client = r.text8(limits.client);
  if (!/^[!-~]*$/.test(client)) throw new BadBytes("a client order id has other characters than printable ASCII");
  return client;
}

function readTarget(r: Reader): Target {
  const target = { order: r.u64(), client: readClient(r) };
  if ((target.order !== 0n) !== (target.client === "")) throw new BadBytes("an order is named twice, or not at all");
  return target;
}

function writeTarget(w: Writer, t: Target): void {
  w.u64(t.order).text8(t.client, limits.client);
}

type Of<K extends Kind> = Extract<Body, { kind: K }>;
interface Codec<K extends Kind> {
  read(r: Reader): Omit<Of<K>, "kind">;
  write(w: Writer, b: Of<K>): void;
}

const empty = { read: () => ({}), write: () => {} };
const escrowOnly = {
  read: (r: Reader) => ({ escrow: r.u64() }),
  write: (w: Writer, b: { escrow: bigint }) => void w.u64(b.escrow),
};
const keyOnly = {
  read: (r: Reader) => ({ key: r.take(32) }),
  write: (w: Writer, b: { key: Uint8Array }) => void w.raw(b.key, 32),
};

const place: Codec<"place"> = {
  read: (r) => ({
    market: r.u32(), side: readOne(r, sides), order: readOne(r, orders), tif: readOne(r, tifs), postOnly: r.flag(),
    price: r.u64(), quantity: r.u64(), quote: r.u64(), trigger: r.u64(), expiry: r.u64(), client: readClient(r),
  }),
  write(w, b) {
    w.u32(b.market);
    writeOne(w, sides, b.side);
    writeOne(w, orders, b.order);
    writeOne(w, tifs, b.tif);
    w.flag(b.postOnly).u64(b.price).u64(b.quantity).u64(b.quote).u64(b.trigger).u64(b.expiry).text8(b.client, limits.client);
  },
};

const placeOCO: Codec<"place-oco"> = {
  read: (r) => ({
    market: r.u32(), side: readOne(r, sides), stopLimit: r.flag(), quantity: r.u64(), limit: r.u64(), trigger: r.u64(),
    price: r.u64(), expiry: r.u64(), limitClient: readClient(r), stopClient: readClient(r),
  }),
  write(w, b) {
    w.u32(b.market);
    writeOne(w, sides, b.side);
    w.flag(b.stopLimit).u64(b.quantity).u64(b.limit).u64(b.trigger).u64(b.price).u64(b.expiry);
    w.text8(b.limitClient, limits.client).text8(b.stopClient, limits.client);
  },
};

const addDelegate: Codec<"add-delegate"> = {
  read(r) {
    const key = r.take(32);
    const mask = r.u8();
    const expiry = r.u64();
    const n = r.u8();
    if (n > limits.markets) throw new BadBytes("a delegate has too many markets");
    const markets: number[] = [];
    for (let i = 0; i < n; i++) {
      const m = r.u32();
      if (i > 0 && m <= (markets[i - 1] ?? 0)) throw new BadBytes("the markets of a delegate are not in order");
      markets.push(m);
    }
    return { key, scopes: mask, expiry, markets };
  },
  write(w, b) {
    w.raw(b.key, 32).u8(b.scopes).u64(b.expiry).u8(b.markets.length);
    for (const m of b.markets) w.u32(m);
  },
};

const lock: Codec<"lock"> = {
  read: (r) => ({
    payee: r.take(20), asset: r.u32(), amount: r.u64(), hash: r.take(32), deadline: r.u64(), arbiter: r.take(20),
    window: r.u64(), memo: r.text8(limits.memo),
  }),
  write(w, b) {
    w.raw(b.payee, 20).u32(b.asset).u64(b.amount).raw(b.hash, 32).u64(b.deadline).raw(b.arbiter, 20).u64(b.window);
    w.text8(b.memo, limits.memo);
  },
};

const setWithdrawals: Codec<"set-withdrawals"> = {
  read(r) {
    const delay = r.u64();
    const only = r.flag();
    const n = r.u8();
    if (n > limits.allowed) throw new BadBytes("there are too many allowed outputs");
    const allowed: Allowed[] = [];
    for (let i = 0; i < n; i++) allowed.push({ bank: r.u32(), output: r.bytes8(limits.output) });
    return { delay, only, allowed, salt: r.take(limits.salt) };
  },
  write(w, b) {
    w.u64(b.delay).flag(b.only).u8(b.allowed.length);
    for (const a of b.allowed) w.u32(a.bank).bytes8(a.output, limits.output);
    w.raw(b.salt, limits.salt);
  },
};

const codecs: { readonly [K in Kind]: Codec<K> } = {
  transfer: {
    read: (r) => ({ to: r.take(20), asset: r.u32(), amount: r.u64(), memo: r.text8(limits.memo) }),
    write: (w, b) => void w.raw(b.to, 20).u32(b.asset).u64(b.amount).text8(b.memo, limits.memo),
  },
  place,
  "place-oco": placeOCO,
  cancel: { read: (r) => ({ target: readTarget(r) }), write: (w, b) => writeTarget(w, b.target) },
  "cancel-all": { read: (r) => ({ market: r.u32() }), write: (w, b) => void w.u32(b.market) },
  "cancel-all-after": { read: (r) => ({ delay: r.u64() }), write: (w, b) => void w.u64(b.delay) },
  amend: {
    read: (r) => ({ target: readTarget(r), price: r.u64(), quantity: r.u64() }),
    write(w, b) {
      writeTarget(w, b.target);
      w.u64(b.price).u64(b.quantity);
    },
  },
  "add-delegate": addDelegate,
  "remove-delegate": keyOnly,
  rotate: keyOnly,
  "cancel-rotation": empty,
  lock,
  claim: {
    read: (r) => ({ escrow: r.u64(), preimage: r.bytes8(limits.preimage) }),
    write: (w, b) => void w.u64(b.escrow).bytes8(b.preimage, limits.preimage),
  },
  refund: escrowOnly,
  dispute: escrowOnly,
  resolve: {
    read: (r) => ({ escrow: r.u64(), pay: r.flag() }),
    write: (w, b) => void w.u64(b.escrow).flag(b.pay),
  },
  "set-withdrawals": setWithdrawals,
  "cancel-withdrawal": {
    read: (r) => ({ withdrawal: r.u64() }),
    write: (w, b) => void w.u64(b.withdrawal),
  },
  "new-address": {
    read: (r) => ({ bank: r.u32(), salt: r.take(limits.salt) }),
    write: (w, b) => void w.u32(b.bank).raw(b.salt, limits.salt),
  },
  withdraw: {
    read: (r) => ({
      bank: r.u32(), output: r.bytes8(limits.output), amount: r.u64(), maxFee: r.u64(), salt: r.take(limits.salt),
    }),
    write: (w, b) =>
      void w.u32(b.bank).bytes8(b.output, limits.output).u64(b.amount).u64(b.maxFee).raw(b.salt, limits.salt),
  },
  donate: {
    read: (r) => ({ bank: r.u32(), amount: r.u64() }),
    write: (w, b) => void w.u32(b.bank).u64(b.amount),
  },
};

/** Reads the body of a command of a kind; what stands behind it is left. */
export function readBody(r: Reader, kind: Kind): Body {
  return { kind, ...codecs[kind].read(r) } as Body;
}

export function writeBody(w: Writer, b: Body): void {
  (codecs[b.kind] as Codec<Kind>).write(w, b);
}

/** Whether two bodies say the same. */
export function sameBody(a: Body, b: Body): boolean {
  const [x, y] = [new Writer(), new Writer()];
  writeBody(x, a);
  writeBody(y, b);
  return a.kind === b.kind && compare(x.done(), y.done()) === 0;
}
