/** The members as the network view lists them: what the federation says of each, and how its server answers us. */
import type { Schemas } from "souk-api";
import type { Server } from "../net/connection.ts";

export type MemberState = "up" | "down" | "demoted" | "barred" | "other" | "unknown";

export interface MemberRow {
  name: string;
  url: string;
  /** Share of the power, in thousandths; undefined: the server is no member's. */
  share: number | undefined;
  state: MemberState;
  /** What the server complains of itself, or how far it is behind. */
  note: { behind: number; complaint: string };
  silent: { reports: number; at: number };
  server: Server | undefined;
}

/** Joins both, members first. */
export function memberRows(members: readonly Schemas["Member"][], servers: readonly Server[]): MemberRow[] {
  const all = members.reduce((sum, m) => sum + m.power, 0);
  const rows = members.map((m): MemberRow => {
    const server = servers.find((s) => sameOrigin(s.url, m.url ?? ""));
    return { name: m.name, url: m.url ?? "", share: all > 0 ? Math.round((1000 * m.power) / all) : 0, ...seen(server, m), server };
  });
  const others = servers.filter((s) => !members.some((m) => sameOrigin(s.url, m.url ?? "")));
  return [...rows, ...others.map((s): MemberRow => ({ name: s.title, url: s.url, share: undefined, ...seen(s, undefined), server: s }))];
}

function seen(server: Server | undefined, member: Schemas["Member"] | undefined): Pick<MemberRow, "state" | "note" | "silent"> {
  const note = { behind: server?.behind ?? 0, complaint: server?.complaint ?? "" };
  const silent = { reports: member?.silent ?? 0, at: member?.silent_at ?? 0 };
  return { state: stateOf(server, member), note, silent };
}

function stateOf(server: Server | undefined, member: Schemas["Member"] | undefined): MemberState {
  if (member?.barred) return "barred";
  if (server && !server.up) return server.problem === "out of reach" || server.problem === "silent" ? "down" : "other";
  if (member?.demoted) return "demoted";
  return server && server.seen > 0 ? "up" : "unknown";
}

function sameOrigin(a: string, b: string): boolean {
  return a.replace(/\/+$/, "") === b.replace(/\/+$/, "");
}
