import { afterEach, expect, test, vi } from "vitest";
import { keyboard, keyName } from "./keyboard.ts";
import { settings } from "./settings.svelte.ts";

const press = (key: string, more: Partial<KeyboardEvent> = {}) =>
  ({ key, shiftKey: false, ctrlKey: false, metaKey: false, altKey: false, defaultPrevented: false, preventDefault: () => undefined, target: null, ...more }) as KeyboardEvent;

test.each([
  ["b", {}, "b"],
  ["B", {}, "b"], // the lock of capitals is on
  ["X", { shiftKey: true }, "Shift+X"],
  ["?", { shiftKey: true }, "?"],
  ["/", {}, "/"],
  ["Escape", {}, "Escape"],
  ["b", { ctrlKey: true }, ""],
  ["b", { metaKey: true }, ""],
])("the key %s %o is %j", (key, more, want) => {
  expect(keyName(press(key, more))).toBe(want);
});

afterEach(() => {
  vi.unstubAllGlobals();
  settings.keys = true;
});

test("the latest shortcut for a key works until it ends, and none while a dialog is open or they are off", () => {
  let dialog: object | null = null;
  vi.stubGlobal("document", { querySelector: () => dialog });
  vi.stubGlobal("HTMLElement", class {});
  const heard: string[] = [];
  const ends = [keyboard.on("b", () => heard.push("first")), keyboard.on("b", () => heard.push("second"))];
  keyboard.hear(press("b"));
  ends[1]?.();
  keyboard.hear(press("b"));
  dialog = {};
  keyboard.hear(press("b"));
  dialog = null;
  settings.keys = false;
  keyboard.hear(press("b"));
  ends[0]?.();
  expect(heard).toEqual(["second", "first"]);
});
