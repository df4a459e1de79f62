/** A server of the federation, as the prover asks it. */
import { hex } from "../souk/bytes.ts";
import type { LightSource } from "./client.ts";
import { ProofError } from "./problem.ts";
import { proofText as t } from "./text.ts";

/** Where a server is. */
export interface Source {
  url: string; // base URL, without a slash at its end
  name: string; // the member's name, or the URL
  founder?: boolean; // the founding contract names it
}

/** What the prover asks. Targets begin with /v1. */
export interface Server extends LightSource {
  /** A JSON answer; ProofError "unreachable" if there is none, with the status 404 as undefined. */
  get(target: string, token?: string): Promise<unknown>;
}

const patience = 5000; // ms
const mostLight = 1 << 20;

/** A server that is asked over HTTP, under the long path of its virtual server (H-1). */
export function httpServer(vsid: Uint8Array, { url, name, founder = false }: Source): Server {
  const id = hex(vsid);
  const ask = async (target: string, headers: Record<string, string>, signal: AbortSignal): Promise<Response> => {
    let response: Response;
    try {
      response = await fetch(`${url}/vs/${id}${target}`, {
        headers, signal, credentials: "omit", cache: "no-store", redirect: "error", referrerPolicy: "no-referrer",
      });
    } catch {
      throw new ProofError(t.status(name, 0, t.noAnswer), "unreachable", name);
    }
    if (response.headers.get("Souk-Server") !== id) throw new ProofError(t.lies(name, t.elsewhere), "unreachable", name);
    return response;
  };
  const refused = async (response: Response): Promise<ProofError> => {
    const problem: unknown = await response.json().catch(() => undefined);
    const detail = typeof problem === "object" && problem !== null && "detail" in problem ? String(problem.detail) : "";
    return new ProofError(t.status(name, response.status, detail), "unreachable", name);
  };
  return {
    name,
    founder,
    async light(height, signal) {
      const response = await ask(`/v1/light/${height}`, { Accept: "application/octet-stream" }, signal);
      if (!response.ok) throw await refused(response);
      const body = await response.arrayBuffer().catch(() => undefined);
      if (!body || body.byteLength > mostLight) throw new ProofError(t.lies(name, t.malformed), "unreachable", name);
      return new Uint8Array(body);
    },
    async get(target, token) {
      const headers: Record<string, string> = { Accept: "application/json" };
      if (token !== undefined) headers["Souk-Read"] = token;
      const response = await ask(target, headers, AbortSignal.timeout(patience));
      if (response.status === 404) return undefined;
      if (!response.ok) throw await refused(response);
      try {
        return (await response.json()) as unknown;
      } catch {
        throw new ProofError(t.lies(name, t.malformed), "unreachable", name);
      }
    },
  };
}
