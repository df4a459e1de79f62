/** What is in front of who reads and writes mail: a tab, a letter, a draft. It stays while other views are shown. */
export const tabs = ["inbox", "write", "sent", "contacts", "card"] as const;
export type Tab = (typeof tabs)[number];

class Desk {
  tab = $state<Tab>("inbox");
  /** The letter that is read. */
  letter = $state("");
  to = $state("");
  subject = $state("");
  body = $state("");
  /** The card that is shown, and its text. */
  card = $state("");

  /** Begins a letter. */
  write(who: number, subject = ""): void {
    this.to = String(who);
    this.subject = subject;
    this.tab = "write";
  }
}

export const desk = new Desk();

/** A time for people. */
export function at(ms: number): string {
  return new Date(ms).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
}

/** A key for people to compare: groups of four digits. */
export function grouped(key: string): string {
  return (key.match(/.{1,4}/g) ?? []).join(" ");
}

/** What went wrong, for people. */
export function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
