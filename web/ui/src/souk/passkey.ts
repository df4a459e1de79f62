/**
 * A passkey as an extra lock (WebAuthn with the extension PRF): the authenticator makes a secret of
 * a salt that stands in the vault, and the secret opens the box. The passphrase goes on to open too.
 */
import { hkdf } from "@noble/hashes/hkdf.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { randomBytes } from "@noble/hashes/utils.js";
import { encodeUtf8, fromHex, hex } from "./bytes.ts";
import { box, unbox } from "./locks.ts";
import { coreText } from "./text.ts";
import { BadVault, type PasskeyLock, type Vault, checkVault } from "./vault.ts";

const t = coreText.vault;
const patience = 120_000; // ms

/** Whether this browser may have passkeys at all; whether one does PRF is seen when it is made. */
export async function passkeys(): Promise<boolean> {
  if (typeof PublicKeyCredential === "undefined") return false;
  try {
    return await PublicKeyCredential.isUserVerifyingPlatformAuthenticatorAvailable();
  } catch {
    return false;
  }
}

export async function addPasskey(vault: Vault, words: string): Promise<Vault> {
  const { address, locks } = checkVault(vault);
  const salt = randomBytes(32);
  const made = await asked(() => navigator.credentials.create({
    publicKey: {
      rp: { name: "Souk" },
      user: { id: buffer(randomBytes(16)), name: address, displayName: address },
      challenge: buffer(randomBytes(32)), // nobody checks a signature here
      pubKeyCredParams: [{ type: "public-key", alg: -8 }, { type: "public-key", alg: -7 }, { type: "public-key", alg: -257 }],
      authenticatorSelection: { userVerification: "required", residentKey: "preferred" },
      extensions: { prf: { eval: { first: buffer(salt) } } },
      timeout: patience,
    },
  }));
  const lock = { credential: hex(new Uint8Array(made.rawId)), salt: hex(salt) };
  // Some authenticators answer the secret only when they are used, not when they are made.
  const secret = secretOf(made) ?? (await secretFrom(lock));
  const sealed: PasskeyLock = { kind: "passkey", ...lock, ...box(words, secret, address, "passkey") };
  secret.fill(0);
  return { version: 1, address, locks: [...locks.filter((l) => l.kind !== "passkey"), sealed] };
}

export async function openByPasskey(vault: Vault): Promise<string> {
  const { address, locks } = checkVault(vault);
  const lock = locks.find((l) => l.kind === "passkey");
  if (!lock) throw new BadVault(t.noPasskey);
  const secret = await secretFrom(lock);
  const words = unbox(lock, secret, address, "passkey");
  secret.fill(0);
  if (words === undefined) throw new BadVault(t.broken);
  return words;
}

async function secretFrom(lock: Pick<PasskeyLock, "credential" | "salt">): Promise<Uint8Array> {
  const used = await asked(() => navigator.credentials.get({
    publicKey: {
      challenge: buffer(randomBytes(32)),
      allowCredentials: [{ type: "public-key", id: buffer(fromHex(lock.credential)) }],
      userVerification: "required",
      extensions: { prf: { eval: { first: buffer(fromHex(lock.salt)) } } },
      timeout: patience,
    },
  }));
  const secret = secretOf(used);
  if (!secret) throw new BadVault(t.noPasskey);
  return secret;
}

function secretOf(credential: PublicKeyCredential): Uint8Array | undefined {
  const first = credential.getClientExtensionResults().prf?.results?.first;
  if (!first) return undefined;
  const raw = ArrayBuffer.isView(first) ? new Uint8Array(first.buffer, first.byteOffset, first.byteLength) : new Uint8Array(first);
  return hkdf(sha256, raw, undefined, encodeUtf8("souk/vault/v1 passkey"), 32);
}

async function asked(ask: () => Promise<Credential | null>): Promise<PublicKeyCredential> {
  let answer: Credential | null;
  try {
    answer = await ask();
  } catch {
    throw new BadVault(t.refused);
  }
  if (!(answer instanceof PublicKeyCredential)) throw new BadVault(t.refused);
  return answer;
}

/** The browser's own functions take bytes that own their memory. */
function buffer(bytes: Uint8Array): ArrayBuffer {
  return bytes.slice().buffer as ArrayBuffer;
}
