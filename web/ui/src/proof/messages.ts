/** What the page and the prover's worker say to each other. */
import type { ProblemKind } from "./problem.ts";
import type { Source } from "./server.ts";

export interface Setup {
  id: string;
  founding: Uint8Array;
  sources: Source[];
}

export type ToWorker =
  | ({ kind: "setup" } & Setup)
  | { kind: "call"; id: number; method: string; args: unknown[] }
  | { kind: "signed"; id: number; token: string }
  | { kind: "unsigned"; id: number; message: string };

export type FromWorker =
  | { kind: "answer"; id: number; value: unknown }
  | { kind: "problem"; id: number; message: string; problem: ProblemKind | undefined; server: string | undefined }
  | { kind: "sign"; id: number; method: string; target: string };
