/** The prover's worker: it takes calls from proof.ts, and asks the page for signatures of reads. */
import { Banks } from "./banks.ts";
import { Core } from "./core.ts";
import { ProofError } from "./problem.ts";
import type { FromWorker, Setup, ToWorker } from "./messages.ts";
import { httpServer } from "./server.ts";
import { readTrust, writeTrust } from "./trust.ts";
import { fromHex } from "../souk/bytes.ts";
import { BadFounding } from "../souk/founding.ts";

/** What may be called: methods of Core and of Banks, and nothing else. */
function methods(core: Core): Readonly<Record<string, (...args: never[]) => unknown>> {
  const banks = new Banks(core);
  return {
    newest: () => core.newest(), lies: () => core.lies(),
    trust: (height: number, hash: Uint8Array) => core.client.trust(height, hash),
    asset: (n: number) => core.asset(n), market: (n: number) => core.market(n), account: (a: string) => core.account(a),
    order: (id: bigint, a: string) => core.order(id, a), receipt: (id: string) => core.receipt(id),
    trade: (id: bigint, market?: number, height?: number, time?: number) => core.trade(id, market, height, time),
    auction: (market: number, height: number) => core.auction(market, height),
    withdrawalSettings: (a: string) => core.withdrawalSettings(a), bank: (n: number) => banks.bank(n), bankTerms: (n: number) => banks.terms(n),
    bankByNumber: (n: number) => banks.byNumber(n),
    series: (b: number, n: number) => banks.series(b, n), signers: (b: number, n: number) => banks.signers(b, n),
    depositAddress: (b: number, s: number, i: number, a: string) => banks.depositAddress(b, s, i, a),
    freshAddress: (b: number, s: number, i: number, a: string, salt: Uint8Array) => banks.freshAddress(b, s, i, a, salt),
    unusedAddress: (b: number, a: string) => banks.unusedAddress(b, a),
  };
}

const scope = globalThis as unknown as {
  postMessage(message: FromWorker): void;
  onmessage: ((event: { data: ToWorker }) => void) | null;
};

let ready: Promise<ReturnType<typeof methods>> | undefined;
const waiting = new Map<number, { resolve(token: string): void; reject(error: unknown): void }>();
let asked = 0;

/** Has the page sign a read: the keys never come here. */
function sign(method: string, target: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const id = ++asked;
    waiting.set(id, { resolve, reject });
    scope.postMessage({ kind: "sign", id, method, target });
  });
}

async function begin({ id, founding, sources }: Setup): Promise<ReturnType<typeof methods>> {
  const vsid = fromHex(id, 32);
  const saved = await readTrust(id);
  const servers = sources.map((s) => httpServer(vsid, s));
  const core = new Core({ id, founding, servers, sign, saved, save: (raw, height) => void writeTrust(id, raw, height) });
  (await import("../souk/cards.ts")).checkCards(core.founding);
  return methods(core);
}

async function call(id: number, method: string, args: unknown[]): Promise<void> {
  try {
    const all = await ready;
    const run = all && Object.hasOwn(all, method) ? all[method] : undefined;
    if (!run) throw new TypeError(`the prover has no ${method}`);
    scope.postMessage({ kind: "answer", id, value: await (run as (...args: unknown[]) => unknown)(...args) });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const { kind, server } = error instanceof ProofError ? error : { kind: error instanceof BadFounding ? ("refused" as const) : undefined, server: undefined };
    scope.postMessage({ kind: "problem", id, message, problem: kind, server });
  }
}

scope.onmessage = ({ data }) => {
  switch (data.kind) {
    case "setup":
      ready = begin(data);
      ready.catch(() => undefined); // every call tells
      break;
    case "call":
      void call(data.id, data.method, data.args);
      break;
    case "signed":
      waiting.get(data.id)?.resolve(data.token);
      waiting.delete(data.id);
      break;
    case "unsigned":
      waiting.get(data.id)?.reject(new ProofError(data.message, "unreachable"));
      waiting.delete(data.id);
  }
};
