/**
 * The part of Protocol Buffers that CometBFT's headers need. The reader is strict: fields it was
 * not told of, fields out of order or twice, and numbers that are longer than they must be are
 * refused, so that a message has one encoding here.
 */
import { BadBytes, concat } from "./bytes.ts";

/** What a field is: a number, 8 bytes, or bytes behind their length; `many` may come again. */
export type FieldKind = "varint" | "fixed64" | "bytes" | "many";

const wires: Readonly<Record<FieldKind, number>> = { varint: 0, fixed64: 1, bytes: 2, many: 2 };

/** The fields of a message that were there. */
export class Message {
  readonly #numbers = new Map<number, bigint>();
  readonly #bytes = new Map<number, Uint8Array[]>();

  /** Reads a message of these fields and nothing else. */
  constructor(data: Uint8Array, fields: Readonly<Record<number, FieldKind>>) {
    const cursor = { at: 0 };
    let last = 0;
    while (cursor.at < data.length) {
      const tag = Number(varint(data, cursor));
      const [number, wire] = [Math.floor(tag / 8), tag % 8];
      const kind = Object.hasOwn(fields, number) ? fields[number] : undefined;
      if (!kind || wires[kind] !== wire) throw new BadBytes("a message has a field that does not belong there");
      if (number < last || (number === last && kind !== "many")) throw new BadBytes("the fields of a message are out of order");
      last = number;
      if (wire === 0) this.#numbers.set(number, varint(data, cursor));
      else this.#bytes.set(number, [...(this.#bytes.get(number) ?? []), part(data, cursor, kind === "fixed64" ? 8 : undefined)]);
    }
  }

  /** A number without a sign; zero if it is not there. */
  uint(field: number): bigint {
    return this.#numbers.get(field) ?? 0n;
  }

  /** A number with a sign. */
  int(field: number): bigint {
    return BigInt.asIntN(64, this.uint(field));
  }

  /** Bytes; none if they are not there. */
  bytes(field: number): Uint8Array {
    return this.#bytes.get(field)?.[0] ?? new Uint8Array();
  }

  has(field: number): boolean {
    return this.#bytes.has(field);
  }

  all(field: number): Uint8Array[] {
    return this.#bytes.get(field) ?? [];
  }
}

/** Reads a number of 7 bits a byte, the lowest first, at most 64 bits. */
export function varint(data: Uint8Array, cursor: { at: number }): bigint {
  let value = 0n;
  for (let shift = 0n; shift < 70n; shift += 7n) {
    const b = data[cursor.at++];
    if (b === undefined) throw new BadBytes("a message is cut short");
    value |= BigInt(b & 0x7f) << shift;
    if (b < 0x80) {
      if ((b === 0 && shift > 0n) || value >= 1n << 64n) throw new BadBytes("a number is longer than it must be");
      return value;
    }
  }
  throw new BadBytes("a number is longer than it must be");
}

/** Reads bytes behind their length, or so many as are said. */
export function part(data: Uint8Array, cursor: { at: number }, size?: number): Uint8Array {
  const n = size ?? Number(varint(data, cursor));
  if (n > data.length - cursor.at) throw new BadBytes("a message is cut short");
  cursor.at += n;
  return data.slice(cursor.at - n, cursor.at);
}

export function encodeVarint(value: bigint): Uint8Array {
  const bytes: number[] = [];
  let v = BigInt.asUintN(64, value);
  for (; v >= 0x80n; v >>= 7n) bytes.push(Number(v & 0x7fn) | 0x80);
  return Uint8Array.from([...bytes, Number(v)]);
}

const tag = (field: number, wire: number): Uint8Array => encodeVarint(BigInt(field * 8 + wire));

/** A number; nothing if it is zero. */
export function numberField(field: number, value: bigint): Uint8Array {
  return value === 0n ? new Uint8Array() : concat(tag(field, 0), encodeVarint(value));
}

/** A number in 8 bytes, the lowest first; nothing if it is zero. */
export function fixedField(field: number, value: bigint): Uint8Array {
  if (value === 0n) return new Uint8Array();
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigInt64(0, value, true);
  return concat(tag(field, 1), bytes);
}

/** Bytes; nothing if there are none. */
export function bytesField(field: number, value: Uint8Array): Uint8Array {
  return value.length === 0 ? new Uint8Array() : messageField(field, value);
}

/** A message, which is there even if it is empty. */
export function messageField(field: number, value: Uint8Array): Uint8Array {
  return concat(tag(field, 2), encodeVarint(BigInt(value.length)), value);
}
