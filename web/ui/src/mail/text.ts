/** What mail says to its user when something does not work; the view's words are in text.ts of the page. */
export const coreMail = {
  blocked: "This browser does not keep anything for this page. Mail needs that: allow it, or leave the private window.",
  expired: "That card has expired, or there is a later one. Ask for a new one.",
  claimed: "That card claims the key of somebody else in your contacts.",
  nobody: "There is no such contact.",
  own: "That is your own card.",
  name: "A name has 1 to 100 characters, and is nobody else's.",
  blockedContact: "You have blocked this contact.",
};
