/**
 * Bytes as Souk writes them: big-endian integers of fixed width, texts and lists behind
 * their length. A Reader refuses whatever is cut short or goes on behind its end.
 */

/** Bytes are not the one encoding of a value. */
export class BadBytes extends Error {
  override readonly name = "BadBytes";
}

const maxU64 = (1n << 64n) - 1n;

/** Reads an encoding from its front to its end. */
export class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** How many bytes are left. */
  get left(): number {
    return this.#bytes.length - this.#at;
  }

  /** Where the next byte stands. */
  get at(): number {
    return this.#at;
  }

  #step(n: number): number {
    if (n > this.left) throw new BadBytes("the bytes are cut short");
    const at = this.#at;
    this.#at += n;
    return at;
  }

  u8(): number {
    return this.#view.getUint8(this.#step(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#step(2));
  }

  u32(): number {
    return this.#view.getUint32(this.#step(4));
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#step(8));
  }

  i64(): bigint {
    return this.#view.getBigInt64(this.#step(8));
  }

  /** A byte that is 0 or 1. */
  flag(): boolean {
    const v = this.u8();
    if (v > 1) throw new BadBytes("a flag is neither 0 nor 1");
    return v === 1;
  }

  /** The next n bytes, copied. */
  take(n: number): Uint8Array {
    const at = this.#step(n);
    return this.#bytes.slice(at, at + n);
  }

  /** Bytes behind a length of one byte, at most limit. */
  bytes8(limit: number): Uint8Array {
    const n = this.u8();
    if (n > limit) throw new BadBytes("a text or list is too long");
    return this.take(n);
  }

  /** UTF-8 behind a length of one byte. */
  text8(limit: number): string {
    return utf8(this.bytes8(limit));
  }

  /** Another reader of what is left. */
  copy(): Reader {
    return new Reader(this.#bytes.subarray(this.#at));
  }

  /** Everything that is left. */
  rest(): Uint8Array {
    return this.take(this.left);
  }

  /** Refuses bytes behind the end. */
  end(): void {
    if (this.left !== 0) throw new BadBytes("there are bytes behind the end");
  }
}

/** Writes an encoding. What does not fit is the caller's mistake, and a BadBytes. */
export class Writer {
  #parts: Uint8Array[] = [];

  #number(size: number, set: (view: DataView) => void): this {
    const part = new Uint8Array(size);
    set(new DataView(part.buffer));
    this.#parts.push(part);
    return this;
  }

  u8(v: number): this {
    return this.#number(1, (d) => d.setUint8(0, small(v, 0xff)));
  }

  u16(v: number): this {
    return this.#number(2, (d) => d.setUint16(0, small(v, 0xffff)));
  }

  u32(v: number): this {
    return this.#number(4, (d) => d.setUint32(0, small(v, 0xffffffff)));
  }

  u64(v: bigint): this {
    if (v < 0n || v > maxU64) throw new BadBytes("a number does not fit into 64 bits");
    return this.#number(8, (d) => d.setBigUint64(0, v));
  }

  flag(v: boolean): this {
    return this.u8(v ? 1 : 0);
  }

  /** Bytes as they are; with a length, exactly so many. */
  raw(bytes: Uint8Array, length = bytes.length): this {
    if (bytes.length !== length) throw new BadBytes(`${bytes.length} bytes, not ${length}`);
    this.#parts.push(bytes);
    return this;
  }

  /** Bytes behind a length of one byte. */
  bytes8(bytes: Uint8Array, limit: number): this {
    if (bytes.length > limit) throw new BadBytes(`${bytes.length} bytes, at most ${limit}`);
    return this.u8(bytes.length).raw(bytes);
  }

  /** UTF-8 behind a length of one byte. */
  text8(text: string, limit: number): this {
    return this.bytes8(encodeUtf8(text), limit);
  }

  done(): Uint8Array {
    return concat(...this.#parts);
  }
}

function small(v: number, max: number): number {
  if (!Number.isInteger(v) || v < 0 || v > max) throw new BadBytes("a number does not fit");
  return v;
}

export function concat(...parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) {
    whole.set(p, at);
    at += p.length;
  }
  return whole;
}

export function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((x, i) => x === b[i]);
}

/** Compares byte by byte: negative, zero or positive. */
export function compare(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length && i < b.length; i++) {
    const d = (a[i] ?? 0) - (b[i] ?? 0);
    if (d !== 0) return d;
  }
  return a.length - b.length;
}

export function isZero(a: Uint8Array): boolean {
  return a.every((x) => x === 0);
}

export function hex(bytes: Uint8Array): string {
  let text = "";
  for (const b of bytes) text += b.toString(16).padStart(2, "0");
  return text;
}

/** Reads lower-case hexadecimal digits; with a length, exactly so many bytes. */
export function fromHex(text: string, length?: number): Uint8Array {
  if (!/^([0-9a-f]{2})*$/.test(text)) throw new BadBytes("these are not hexadecimal digits");
  if (length !== undefined && text.length !== 2 * length) throw new BadBytes(`these are not ${2 * length} hexadecimal digits`);
  const bytes = new Uint8Array(text.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}

/** Reads padded standard base64, as the API writes bytes. */
export function fromBase64(text: string): Uint8Array {
  let binary: string;
  try {
    binary = atob(text);
  } catch {
    throw new BadBytes("this is not base64");
  }
  const bytes = Uint8Array.from(binary, (c) => c.charCodeAt(0));
  if (toBase64(bytes) !== text) throw new BadBytes("this is not the one base64 of these bytes");
  return bytes;
}

export function toBase64(bytes: Uint8Array): string {
  let binary = "";
  for (const b of bytes) binary += String.fromCharCode(b);
  return btoa(binary);
}

/** Reads UTF-8; bytes that are none are refused, and no mark at the front is swallowed. */
export function utf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new BadBytes("a text is not UTF-8");
  }
}

/** UTF-8 of a text; half of a character that takes two is refused, not replaced. */
export function encodeUtf8(text: string): Uint8Array {
  const bytes = new TextEncoder().encode(text);
  if (utf8(bytes) !== text) throw new BadBytes("a text is not Unicode");
  return bytes;
}
