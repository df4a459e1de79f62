/**
 * Checks the members' cards in a founding contract: each is signed by its operator, and each key for a
 * bank is proven to be somebody's (Y-87, P-20). So no member can have put in a key that he made out of
 * the others'. A chunk of its own: it brings the curve of Bitcoin.
 */
import { ed25519 } from "@noble/curves/ed25519.js";
import { secp256k1 } from "@noble/curves/secp256k1.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { addressOf } from "./address.ts";
import { Writer, encodeUtf8 } from "./bytes.ts";
import { BadFounding, type BankKey, type Founding } from "./founding.ts";
import { coreText } from "./text.ts";

const t = coreText.founding;

/** Who shows that he has a key; zeros for the holder of a recovery. */
export interface Claimant {
  server: Uint8Array; // id of the virtual server, zeros on a card
  operator: Uint8Array; // address
  key: Uint8Array; // server key
}

/** Whether a key for a bank is proven to be the claimant's. */
export function possessed(k: BankKey, c: Claimant): boolean {
  const claim = new Writer()
    .text8("souk/bank-key/v1", 255).raw(c.server, 32).text8(k.network, 32).raw(c.operator, 20).raw(c.key, 32).raw(k.key, 33).raw(k.chainCode, 32)
    .done();
  try {
    return secp256k1.verify(k.possession, sha256(claim), k.key, { prehash: false, lowS: true });
  } catch {
    return false;
  }
}

/** Throws BadFounding if a card is not signed, or a key not proven. */
export function checkCards(f: Founding): void {
  const nobody: Claimant = { server: new Uint8Array(32), operator: new Uint8Array(20), key: new Uint8Array(32) };
  for (const m of f.members) {
    const toSign = new Writer().bytes8(encodeUtf8("souk/card/v1"), 255).raw(m.card).done();
    if (!signedBy(m.signature, toSign, m.operator)) throw new BadFounding(t.card(m.name));
    const claimant = { ...nobody, operator: addressOf(m.operator), key: m.server };
    if (!m.banks.every((k) => possessed(k, claimant))) throw new BadFounding(t.key(m.name));
  }
  for (const b of f.banks) {
    if (!b.recovery.every((k) => possessed(k, nobody))) throw new BadFounding(t.recovery(b.symbol));
  }
}

function signedBy(signature: Uint8Array, bytes: Uint8Array, key: Uint8Array): boolean {
  try {
    return ed25519.verify(signature, bytes, key, { zip215: true });
  } catch {
    return false;
  }
}
