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
  chain: {
    empty: "Write an address.",
    unknown: (name: string) => `This page does not know the network “${name}”.`,
    mweb: "This is an MWEB address, which cannot be paid to. Take an ordinary address of Litecoin.",
    signs: "An address has no spaces and no special characters.",
    none: (network: string) => `This is no address of ${network}.`,
    other: (is: string, wanted: string) => `This is an address of ${is}, not of ${wanted}.`,
    mixed: "Capital and small letters are mixed. Copy the address again.",
    typo: "A character is wrong or missing. Copy the address again.",
    taproot: (network: string) => `This is a taproot address, and ${network} has no taproot: anybody could take what is paid to it.`,
    unspendable: "Nobody has a key for this address: what is paid to it is lost. Ask the payee for another one.",
    version: "This is an address of a kind that cannot be paid to.",
    script: "This output has no address.",
  },
  founding: {
    long: "The founding contract is too long.",
    other: "This is the founding contract of another exchange.",
    unread: "This page cannot read the founding contract: use a newer one.",
    card: (name: string) => `The card of ${name} in the founding contract is not signed.`,
    key: (name: string) => `The founding contract has a key of ${name} that is not proven.`,
    recovery: (symbol: string) => `The recovery of ${symbol} in the founding contract has a key that is not proven.`,
  },
  words: {
    empty: "Write your words.",
    unknown: (at: number, word: string) => `Word ${at}, “${word}”, is not in the list.`,
    count: (n: number) => `These are ${n} words. A key has 12 or 24.`,
    checksum: "The words do not belong together: one of them is wrong, or two have changed places.",
    wiped: "The key was locked away. Unlock it again.",
    passphrase: "The passphrase of words has only letters, digits and signs of the English keyboard.",
  },
  vault: {
    wrong: "The passphrase is wrong.",
    memory: "There was not enough memory to open the key. Close other tabs and try again.",
    broken: "What this browser kept of the key cannot be read. Restore it with your words.",
    short: (least: number) => `Take a passphrase of at least ${least} characters.`,
    noPasskey: "This browser, or this passkey, cannot lock a key.",
    refused: "The passkey was not used.",
    blocked: "This browser does not let the page keep anything. Private windows often do not.",
  },
} as const;
