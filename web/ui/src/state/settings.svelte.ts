/** What the user likes, kept in this browser only. */

export type Theme = "dark" | "light" | "system";
export type Palette = "green-red" | "blue-orange";

export interface Choices {
  theme: Theme;
  palette: Palette;
  /** Orders are shown in words before they are signed. What moves money is shown always. */
  confirmOrders: boolean;
  /** Shortcuts of one key. */
  keys: boolean;
  /** Minutes without a touch after which the keys are locked; 0: never. */
  lockAfter: number;
}

const place = "souk.settings";

export const standard: Choices = { theme: "dark", palette: "green-red", confirmOrders: true, keys: true, lockAfter: 30 };

/** Reads what was kept; what is missing or nonsense is as it stands in standard. */
export function readChoices(text: string | null): Choices {
  let kept: Partial<Record<keyof Choices, unknown>> = {};
  try {
    const value: unknown = JSON.parse(text ?? "{}");
    if (typeof value === "object" && value !== null) kept = value;
  } catch {
    // Somebody else wrote there.
  }
  return {
    theme: kept.theme === "light" || kept.theme === "system" ? kept.theme : standard.theme,
    palette: kept.palette === "blue-orange" ? kept.palette : standard.palette,
    confirmOrders: typeof kept.confirmOrders === "boolean" ? kept.confirmOrders : standard.confirmOrders,
    keys: typeof kept.keys === "boolean" ? kept.keys : standard.keys,
    lockAfter: typeof kept.lockAfter === "number" && kept.lockAfter >= 0 ? kept.lockAfter : standard.lockAfter,
  };
}

class Settings implements Choices {
  theme = $state<Theme>(standard.theme);
  palette = $state<Palette>(standard.palette);
  confirmOrders = $state(standard.confirmOrders);
  keys = $state(standard.keys);
  lockAfter = $state(standard.lockAfter);

  /** Reads them and shows theme and palette. */
  start(): void {
    Object.assign(this, readChoices(localStorage.getItem(place)));
    this.show();
    matchMedia("(prefers-color-scheme: light)").addEventListener("change", () => this.show());
    addEventListener("storage", (event) => {
      if (event.key !== place) return;
      Object.assign(this, readChoices(event.newValue));
      this.show();
    });
  }

  /** Changes some of them and keeps that. */
  set(some: Partial<Choices>): void {
    Object.assign(this, some);
    const { theme, palette, confirmOrders, keys, lockAfter } = this;
    try {
      localStorage.setItem(place, JSON.stringify({ theme, palette, confirmOrders, keys, lockAfter } satisfies Choices));
    } catch {
      // A browser that keeps nothing: they hold until the page is closed.
    }
    this.show();
  }

  /** The theme that is shown now. Charts, which draw themselves, watch it. */
  shown = $state<"dark" | "light">("dark");

  private show(): void {
    this.shown = this.theme === "system" ? (matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark") : this.theme;
    document.documentElement.dataset["theme"] = this.shown;
    document.documentElement.dataset["palette"] = this.palette;
    document.querySelector("meta[name=theme-color]")?.setAttribute("content", this.shown === "dark" ? "#101826" : "#ffffff");
  }
}

export const settings = new Settings();
