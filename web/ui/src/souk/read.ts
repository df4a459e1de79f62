/** Signed reads: who asks about an account says so with its key (H-20, H-21). */
import { encodeAddress } from "./address.ts";
import { Writer, encodeUtf8, hex } from "./bytes.ts";
import type { Key } from "./keys.ts";

const tag = encodeUtf8("souk/read/v1");

/**
 * The header Souk-Read for a request: time is in ms, target the path from /v1 on and, if there
 * is one, ? and the query. The account is the key's own if it is absent.
 */
export function signRead(
  vsid: Uint8Array, key: Key, time: number, method: string, target: string, account: Uint8Array = key.address,
): string {
  const path = encodeUtf8(target);
  const toSign = new Writer()
    .bytes8(tag, 255).raw(vsid, 32).raw(account, 20).u64(BigInt(time))
    .text8(method, 16).u16(path.length).raw(path)
    .done();
  return `v1 address=${encodeAddress(account)};key=${hex(key.publicKey)};time=${time};signature=${hex(key.sign(toSign))}`;
}

