/** Long texts that people compare: in groups of four, with the checksum marked. */

/** A group of an address, and whether the checksum begins or goes on in it. */
export interface Group {
  text: string;
  checksum: boolean;
}

/** Characters of the checksum at the end of addresses in bech32, of chains and of accounts. */
const bech32Checksum = 6;

/**
 * An address in groups of four characters. The checksum of bech32 gets groups of its own, for
 * it differs wherever something before it does: who compares only that has compared a lot.
 */
export function addressGroups(address: string): Group[] {
  const bech32 = /^[a-z]{1,10}1[02-9ac-hj-np-z]{7,}$/.test(address);
  const body = bech32 ? address.slice(0, -bech32Checksum) : address;
  return [...fours(body).map((text) => ({ text, checksum: false })), ...(bech32 ? [{ text: address.slice(-bech32Checksum), checksum: true }] : [])];
}

/** A text in pieces of four characters. */
export function fours(text: string): string[] {
  return text.match(/.{1,4}/gsu) ?? [];
}
