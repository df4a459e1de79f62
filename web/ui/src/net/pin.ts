/** What this browser keeps of the exchange that it first met here: which one it is, and who serves it. */
import { hex } from "../souk/bytes.ts";
import { foundingId } from "../souk/founding.ts";

/** Kept in localStorage. Nothing in it is secret. */
export interface Pin {
  /** 64 hexadecimal digits: the hash of the founding contract. */
  id: string;
  /** The founding contract, canonical bytes in base64. */
  founding: string;
  /** Base URLs of servers that were told of. */
  servers: string[];
}

const place = "souk.exchange";

/** What was kept; undefined: nothing, or nothing that fits its own id. */
export function readPin(): Pin | undefined {
  try {
    const value = JSON.parse(localStorage.getItem(place) ?? "null") as Partial<Pin> | null;
    if (!value || typeof value.id !== "string" || typeof value.founding !== "string") return undefined;
    if (idOf(bytesOf(value.founding)) !== value.id) return undefined;
    const servers = Array.isArray(value.servers) ? value.servers.filter((s) => typeof s === "string") : [];
    return { id: value.id, founding: value.founding, servers };
  } catch {
    return undefined;
  }
}

/** Keeps it, if the browser keeps anything; without that every visit is a first one. */
export function keepPin(pin: Pin): void {
  try {
    const text = JSON.stringify(pin);
    if (localStorage.getItem(place) !== text) localStorage.setItem(place, text);
  } catch {
    // There is no room, or the browser keeps nothing.
  }
}

export function dropPin(): void {
  localStorage.removeItem(place);
}

/** The id of the exchange that a founding contract founds. */
export function idOf(founding: Uint8Array): string {
  return hex(foundingId(founding));
}

export function base64Of(bytes: Uint8Array): string {
  let text = "";
  for (const b of bytes) text += String.fromCharCode(b);
  return btoa(text);
}

export function bytesOf(base64: string): Uint8Array {
  return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
}
