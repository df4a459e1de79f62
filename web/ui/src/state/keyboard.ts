/** Shortcuts of one key. Views say which they have while they are shown. */
import { settings } from "./settings.svelte.ts";

/** A shortcut: "b", "/", "?", "Escape", "Shift+X". */
export interface Shortcut {
  key: string;
  run(): void;
}

/** The name of a key press, as shortcuts are written; empty if it is none of ours. */
export function keyName(event: Pick<KeyboardEvent, "key" | "shiftKey" | "ctrlKey" | "metaKey" | "altKey">): string {
  if (event.ctrlKey || event.metaKey || event.altKey) return "";
  if (event.shiftKey && /^\p{L}$/u.test(event.key)) return `Shift+${event.key.toUpperCase()}`;
  return event.key.length === 1 ? event.key.toLowerCase() : event.key;
}

class Keyboard {
  readonly #shortcuts: Shortcut[] = [];

  /** Has a shortcut work until the function that it answers is called. A later one goes before an earlier one. */
  on(key: string, run: () => void): () => void {
    const shortcut = { key, run };
    this.#shortcuts.unshift(shortcut);
    return () => {
      const at = this.#shortcuts.indexOf(shortcut);
      if (at >= 0) this.#shortcuts.splice(at, 1);
    };
  }

  /** Listens. Answers what ends that. */
  start(): () => void {
    const hear = (event: KeyboardEvent) => this.hear(event);
    addEventListener("keydown", hear);
    return () => removeEventListener("keydown", hear);
  }

  /** Does what a key press stands for. Typing into a field, or in a dialog, is no shortcut; Esc leaves a field. */
  hear(event: KeyboardEvent): void {
    if (event.defaultPrevented) return;
    const name = keyName(event);
    if (document.querySelector("dialog[open]")) return;
    const target = event.target instanceof HTMLElement ? event.target : undefined;
    const typing = target?.closest("input:not([type=checkbox],[type=radio],[type=range]), textarea, select, [contenteditable]");
    if (typing && name !== "Escape") return;
    if (name !== "Escape" && !settings.keys) return;
    const shortcut = this.#shortcuts.find((s) => s.key === name);
    if (!shortcut) {
      if (typing && name === "Escape") target?.blur();
      return;
    }
    event.preventDefault();
    shortcut.run();
  }
}

export const keyboard = new Keyboard();
