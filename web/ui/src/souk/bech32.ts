/** The checksums of BIP-173 and BIP-350, and the groups of five bits that both are made of. */

const letters = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const generator = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3];

/** The two kinds of checksum. */
export const bech32 = 1;
export const bech32m = 0x2bc830a3;

/** The number of a character, or -1 if none of these has it. */
export function valueOf(letter: string): number {
  return letters.indexOf(letter);
}

/** The checksum of a part before the 1 and the groups behind it: one of the kinds, if all is well. */
export function checksum(part: string, groups: readonly number[]): number {
  let c = 1;
  const step = (v: number) => {
    const top = c >>> 25;
    c = ((c & 0x1ffffff) << 5) ^ v;
    generator.forEach((g, i) => {
      if ((top >>> i) & 1) c ^= g;
    });
  };
  for (const p of part) step(p.charCodeAt(0) >> 5);
  step(0);
  for (const p of part) step(p.charCodeAt(0) & 31);
  groups.forEach(step);
  return c >>> 0;
}

/** Writes groups behind a part, with the checksum of a kind. */
export function encode(part: string, groups: readonly number[], kind: number): string {
  const c = checksum(part, [...groups, 0, 0, 0, 0, 0, 0]) ^ kind;
  const sum = [0, 1, 2, 3, 4, 5].map((i) => (c >>> (5 * (5 - i))) & 31);
  return part + "1" + [...groups, ...sum].map((g) => letters.charAt(g)).join("");
}

/** Bytes as groups of five bits, the last one filled with zeros. */
export function toGroups(bytes: Uint8Array): number[] {
  const groups: number[] = [];
  let bits = 0;
  let held = 0;
  for (const b of bytes) {
    bits = ((bits << 8) | b) & 0xfff;
    for (held += 8; held >= 5; held -= 5) groups.push((bits >> (held - 5)) & 31);
  }
  if (held > 0) groups.push((bits << (5 - held)) & 31);
  return groups;
}

/** Groups of five bits as bytes; undefined if what is left over is not a few zeros. */
export function fromGroups(groups: readonly number[]): Uint8Array | undefined {
  const bytes: number[] = [];
  let bits = 0;
  let held = 0;
  for (const g of groups) {
    bits = ((bits << 5) | g) & 0xfff;
    held += 5;
    if (held >= 8) {
      held -= 8;
      bytes.push((bits >> held) & 0xff);
    }
  }
  if (held >= 5 || (bits & ((1 << held) - 1)) !== 0) return undefined;
  return Uint8Array.from(bytes);
}
