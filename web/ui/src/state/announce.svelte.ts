/** What is said to screen readers, and shown for some seconds: fills and results, never ticks. */

export type Mood = "good" | "bad" | "plain";
export interface Notice {
  number: number;
  text: string;
  mood: Mood;
}

/** How long a notice is shown, ms. Bad news stay until they are closed or pushed out. */
const shownFor = 6_000;
const most = 4;

class Announcements {
  notices = $state.raw<Notice[]>([]);
  /** What the live region says. */
  said = $state("");
  #number = 0;

  say(text: string, mood: Mood = "plain"): void {
    const notice = { number: ++this.#number, text, mood };
    this.notices = [...this.notices, notice].slice(-most);
    // The same text twice is news too: a space that nobody hears makes it another one.
    this.said = this.said === text ? `${text}\u00a0` : text;
    if (mood !== "bad") setTimeout(() => this.drop(notice.number), shownFor);
  }

  drop(number: number): void {
    this.notices = this.notices.filter((n) => n.number !== number);
  }
}

export const announce = new Announcements();
