/** See connection.svelte.ts: the name under which the others know it. */
export { connection, Connection, Server, type Phase } from "./connection.svelte.ts";
export { OtherServer, Unreachable } from "./ways.ts";
