/**
 * Every text that the page shows, in English. A translation is a file of the same shape.
 * Texts with a value in them are functions.
 */
export const text = {
  name: "Souk",
  views: { trade: "Trade", money: "Money", network: "Network", settings: "Settings" },
} as const;
