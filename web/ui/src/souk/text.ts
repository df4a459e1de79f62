/**
 * The texts of the core, in English: what is wrong with what somebody wrote, and what a
 * command does. They stand here and not in the page's text.ts, for the core is used in the
 * worker as well. A translation is a file of the same shape.
 */
export const coreText = {
  number: {
    empty: "Write a number.",
    form: "This is not a number. Write digits, and a point if you need one, such as 0.25.",
    comma: "Write the number with a point, not a comma.",
    negative: "The number must not be negative.",
    long: "The number is too long.",
    decimals: (most: number) =>
      most === 0 ? "Write a whole number: this has no decimals." : `Write at most ${most} decimals.`,
    large: "The number is too large.",
  },
  address: {
    empty: "Write an address.",
    space: "An address has no spaces.",
    prefix: "An address on Souk begins with souk1.",
    mixed: "Capital and small letters are mixed. Copy the address again.",
    letter: (at: number, letter: string) => `Character ${at}, “${letter}”, never stands in an address. Copy the address again.`,
    short: (missing: number) => `The address is ${missing} ${missing === 1 ? "character" : "characters"} too short.`,
    long: (extra: number) => `The address is ${extra} ${extra === 1 ? "character" : "characters"} too long.`,
    old: "The checksum is of an older kind, which Souk does not use.",
    typo: (at: number) => `The address has a mistake, probably in character ${at}. Copy it again.`,
    checksum: "The address has a mistake: its checksum is wrong. Copy it again.",
  },
  words: {
    empty: "Write your words.",
    unknown: (at: number, word: string) => `Word ${at}, “${word}”, is not in the list.`,
    count: (n: number) => `These are ${n} words. A key has 12 or 24.`,
    checksum: "The words do not belong together: one of them is wrong, or two have changed places.",
    passphrase: "The passphrase of words has only letters, digits and signs of the English keyboard.",
  },
  vault: {
    wrong: "The passphrase is wrong.",
    broken: "What this browser kept of the key cannot be read. Restore it with your words.",
    short: (least: number) => `Take a passphrase of at least ${least} characters.`,
    noPasskey: "This browser, or this passkey, cannot lock a key.",
    refused: "The passkey was not used.",
    blocked: "This browser does not let the page keep anything. Private windows often do not.",
  },
  payee: {
    empty: "Write the address to pay to.",
    long: (most: number) => `An address has at most ${most} characters.`,
    spaces: "An address has no spaces and no special characters. Copy it again.",
    mixed: "Capital and small letters are mixed. Copy the address again.",
    typo: "A character is wrong or missing. Copy the address again.",
    ends: (hrp: string) => `The address ends after ${hrp}1. Copy it again.`,
    none: "This is not an address. Copy it again from the wallet that is to be paid.",
    kind: "The checksum is of another kind than this address has. Copy it again.",
    mweb: (hrp: string) =>
      `This is an MWEB address (${hrp}1…). The bank does not pay to MWEB: what is paid there cannot be audited. Ask for an ordinary Litecoin address.`,
    prefix: (hrp: string, is: string, wants: string, want: string) => `${hrp}1… is an address of ${is}. This bank pays on ${wants}, to addresses that begin with ${want}1.`,
    other: (is: string, wants: string) => `This is an address of ${is}. This bank pays on ${wants}.`,
    unknown: "This is an address of another network.",
    version: (version: number, size: number) => `The bank does not know this kind of address (version ${version}, ${size} bytes). Ask for another one.`,
    taproot: (title: string) => `This is a taproot address, and ${title} has no taproot: anybody could take what is paid to it.`,
    early: (title: string, height: number) => `This kind of address is protected on ${title} from block ${height} on only.`,
    lost: "The checksum is right, but no key belongs to this address: what is paid to it would be lost for ever. Ask for another one.",
    networks: {
      bitcoin: "Bitcoin", bitcoinTestnet: "Bitcoin testnet4", bitcoinSignet: "Bitcoin signet", bitcoinRegtest: "Bitcoin regtest",
      litecoin: "Litecoin", litecoinTestnet: "Litecoin testnet", litecoinRegtest: "Litecoin regtest",
      namecoin: "Namecoin", namecoinRegtest: "Namecoin regtest",
    },
  },
} as const;
