import { expect, test } from "vitest";
import { Server } from "../net/connection.ts";
import { memberRows } from "./members.ts";

const member = (name: string, more: object = {}) => ({
  id: 1, name, url: `https://${name}.example`, power: 1_000_000, silent: 0, barred: false, demoted: false, missed: 0, consensus: "", operator: "", p2p: "", ...more,
});

function server(name: string, more: Partial<Server> = {}): Server {
  return Object.assign(new Server(`https://${name}.example`), { seen: 1, ...more });
}

test("members and servers are joined, and each says how it does", () => {
  const members = [
    member("alice"), member("bob", { url: "https://bob.example/" }), member("carol", { demoted: true, power: 1 }),
    member("dave", { barred: true }), member("erin", { silent: 3, silent_at: 5 }), member("frank"),
  ];
  const servers = [
    server("alice", { height: 9 }), server("bob", { up: false, problem: "out of reach" }), server("carol"), server("dave"),
    server("erin", { behind: 4, complaint: "catching up" }), server("gate", { up: false, problem: "https://gate.example does not serve this exchange" }),
  ];
  const rows = memberRows(members, servers);
  expect(rows.map((r) => [r.name, r.state])).toEqual([
    ["alice", "up"], ["bob", "down"], ["carol", "demoted"], ["dave", "barred"], ["erin", "up"], ["frank", "unknown"], ["gate.example", "other"],
  ]);
  expect(rows.map((r) => r.share)).toEqual([200, 200, 0, 200, 200, 200, undefined]);
  expect(rows[4]).toMatchObject({ note: { behind: 4, complaint: "catching up" }, silent: { reports: 3, at: 5 } });
});
