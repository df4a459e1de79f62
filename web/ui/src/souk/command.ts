/**
 * Commands that a trader signs: their one encoding, and what is signed (B-1 to B-10). A
 * decoder refuses whatever is not the one encoding of a value.
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { type Body, type Kind, kindOf, kinds, readBody, writeBody } from "./body.ts";
import { BadBytes, Reader, Writer, concat, encodeUtf8, equal } from "./bytes.ts";
import type { Key } from "./keys.ts";

export type { Allowed, Body, Kind, OrderKind, Side, Target, TIF } from "./body.ts";

/** Bytes are no command, or one that a trader does not send. */
export class BadCommand extends Error {
  override readonly name = "BadCommand";
}

/** What a command says, before it is signed. */
export interface Command {
  account: Uint8Array; // 20 bytes: the account it acts on
  key: Uint8Array; // 32 bytes: the owner's or a delegate's public key
  nonce: bigint; // unique for the key, from 1
  expiry: bigint; // block time in ms from which it is refused
  body: Body;
}

export interface SignedCommand extends Command {
  signature: Uint8Array; // 64 bytes
}

/** A command that is ready to be sent. */
export interface Signed {
  bytes: Uint8Array; // its encoding
  id: Uint8Array; // 32 bytes: the hash of what was signed (B-3)
}

const maxBody = 4096;
const signatureSize = 64;
const tag = encodeUtf8("souk/command/v1");
const prefix = concat(Uint8Array.of(tag.length), tag);

function encodeUnsigned(c: Command): Uint8Array {
  const body = new Writer();
  writeBody(body, c.body);
  const bytes = body.done();
  return new Writer()
    .u8(kinds[c.body.kind])
    .raw(c.account, 20)
    .raw(c.key, 32)
    .u64(c.nonce)
    .u64(c.expiry)
    .u16(bytes.length)
    .raw(bytes)
    .done();
}

/** The encoding of a signed command. */
export function encodeCommand(c: SignedCommand): Uint8Array {
  return guarded(() => {
    const bytes = concat(encodeUnsigned(c), new Writer().raw(c.signature, signatureSize).done());
    decodeCommand(bytes); // what is sent can be read again, or it is not sent
    return bytes;
  });
}

function readUnsigned(r: Reader): Command {
  const kind: Kind | undefined = kindOf(r.u8());
  if (kind === undefined) throw new BadBytes("the command is of a kind that this page does not send");
  const account = r.take(20);
  const key = r.take(32);
  const nonce = r.u64();
  const expiry = r.u64();
  const length = r.u16();
  if (length > maxBody) throw new BadBytes("the body of the command is too long");
  const inner = new Reader(r.take(length));
  const body = readBody(inner, kind);
  inner.end();
  return { account, key, nonce, expiry, body };
}

/** Reads the encoding of one signed command, and nothing else. The signature is not checked. */
export function decodeCommand(bytes: Uint8Array): SignedCommand {
  return guarded(() => {
    const r = new Reader(bytes);
    const c = readUnsigned(r);
    const signature = r.take(signatureSize);
    r.end();
    return { ...c, signature };
  });
}

/** What is signed: tag, virtual server's id and the encoding without the signature (B-2). */
export function signBytes(vsid: Uint8Array, c: Command): Uint8Array {
  return guarded(() => {
    const bytes = concat(prefix, new Writer().raw(vsid, 32).done(), encodeUnsigned(c));
    decodeSignBytes(bytes);
    return bytes;
  });
}

/** Reads what is signed: for which virtual server, and the command. */
export function decodeSignBytes(bytes: Uint8Array): { vsid: Uint8Array; command: Command } {
  return guarded(() => {
    const r = new Reader(bytes);
    if (!equal(r.take(prefix.length), prefix)) throw new BadBytes("these bytes are not made to be signed as a command");
    const vsid = r.take(32);
    const command = readUnsigned(r);
    r.end();
    return { vsid, command };
  });
}

/** The id of the command whose sign bytes these are (B-3). */
export function commandId(toSign: Uint8Array): Uint8Array {
  return sha256(toSign);
}

/** Signs the very bytes that were shown, if they are a command of this key. */
export function finish(toSign: Uint8Array, key: Key): Signed {
  const { command } = decodeSignBytes(toSign);
  if (!equal(command.key, key.publicKey)) throw new BadCommand("the command is made for another key");
  const unsigned = toSign.slice(prefix.length + 32);
  return { bytes: concat(unsigned, key.sign(toSign)), id: commandId(toSign) };
}

/** What signCommand needs besides the key; the account is the key's own if it is absent. */
export interface Draft {
  account?: Uint8Array;
  nonce: bigint;
  expiry: bigint;
  body: Body;
}

/** The command that a key sends. */
export function commandOf(key: Key, d: Draft): Command {
  return { account: d.account ?? key.address, key: key.publicKey, nonce: d.nonce, expiry: d.expiry, body: d.body };
}

/** Makes, encodes and signs a command. Who shows it first uses signBytes, describe and finish. */
export function signCommand(vsid: Uint8Array, key: Key, d: Draft): Signed {
  return finish(signBytes(vsid, commandOf(key, d)), key);
}

function guarded<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof BadBytes) throw new BadCommand(error.message);
    throw error;
  }
}
