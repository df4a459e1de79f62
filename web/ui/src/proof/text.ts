/** What the prover says, in English. A translation is a file of the same shape. */

const bare = (what: string): string => what.replace(/^the /, "");

export const proofText = {
  alone: "One server alone cannot confirm what it says. Name another server of the exchange.",
  unconfirmed: "No second server confirms the newest block. Nothing is believed until one does.",
  unverified: "No server shows a block that is signed as it must be.",
  expired: "Everything that this browser trusts is older than 14 days. Compare a checkpoint with somebody you trust, and name it.",
  fork: (height: number, a: string, b: string) =>
    `${a} and ${b} show two different blocks of height ${height}, and both are properly signed. Do nothing, and tell others: members have signed twice, or old keys are abused.`,
  earlier: "An earlier answer",
  behind: (has: number, seen: number) => `The servers are at block ${has}, and this browser has seen block ${seen}.`,
  silent: "No server answers.",
  noAnswer: "nothing",
  founding: "The founding contract is that of another exchange.",
  checkpoint: "Fewer than two servers confirm this checkpoint.",
  lies: (server: string, what: string) => `${server} ${what}`,
  block: "shows a block that is not signed as it must be",
  first: "shows a first block of other validators than the founders",
  other: "shows another block than the one that was verified",
  malformed: "sends something that cannot be read",
  leaf: (what: string) => `shows a proof of ${what} that does not hold`,
  old: (what: string) => `shows ${what} as it was before`,
  unread: (what: string) => `What is proven of ${what} cannot be read by this page: use a newer one.`,
  absent: (what: string) => `It is proven that there is no ${bare(what)}.`,
  status: (server: string, status: number, detail: string) => `${server} answers: ${detail === "" ? status : detail}`,
  locked: "Unlock your keys first.",
  notThere: (what: string) => `it does not know ${what}`,
  elsewhere: "does not serve this exchange",
  foreign: (what: string) => `shows ${what} of somebody else`,
  swapped: (what: string) => `shows another ${bare(what)} than the one that was asked for`,
  contract: (what: string) => `shows ${what} with other decimals or another symbol than the founding contract`,
  address: {
    said: (why: string) => `The server that answered ${why}. Do not pay to it.`,
    derived: (text: string) => `shows an address that is not derived from the bank's keys (“${text}”): do not pay to it`,
    nobody: "shows an address that belongs to nobody: what is paid to it is lost",
    other: "shows an address of another account: do not pay to it",
    older: "says that this is your new address, but it is an older one",
    used: "says that nothing was paid to this address, but something was",
    series: (has: number, newest: number) => `says that this is your new address, but it is of series ${has}, and the newest is ${newest}`,
  },
  bank: { moving: "The bank is changing faster than it can be read. Try again.", large: "The bank has more coins than this page can prove." },
  what: {
    asset: (n: number) => `asset ${n}`, market: (n: number) => `market ${n}`, account: "the account", order: (id: bigint) => `order ${id}`,
    receipt: "the receipt", trade: (id: bigint) => `trade ${id}`, auction: (height: number) => `the auction of block ${height}`, bank: "the bank", series: (n: number) => `series ${n}`, address: "the address",
    coins: "the coins", settings: "the settings for withdrawals", clock: "the clock",
  },
} as const;
