import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { MemoryStorage } from "../net/servers.testing.ts";
import { startAutolock } from "./autolock.ts";
import { session } from "./session.svelte.ts";
import { settings } from "./settings.svelte.ts";

let hear: Record<string, () => void> = {};
let end: () => void;

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("localStorage", new MemoryStorage());
  hear = {};
  const listen = (event: string, f: () => void) => void (hear[event] = f);
  vi.stubGlobal("addEventListener", listen);
  vi.stubGlobal("removeEventListener", () => undefined);
  vi.stubGlobal("document", { addEventListener: listen, removeEventListener: () => undefined });
  Object.assign(session, { phase: "open", practice: false });
  settings.lockAfter = 5;
  end = startAutolock();
});
afterEach(() => {
  end();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const minutes = (n: number) => vi.advanceTimersByTime(n * 60_000);

test("the keys are locked when nobody has touched any tab for the time of the settings", () => {
  minutes(4);
  hear["keydown"]?.();
  minutes(4);
  expect(session.phase).toBe("open");
  localStorage.setItem("souk.touched", String(Date.now())); // another tab
  minutes(4);
  expect(session.phase).toBe("open");
  minutes(2);
  expect(session.phase).toBe("locked");
});

test("they stay when the settings say so, and a machine that slept looks when it wakes", () => {
  settings.lockAfter = 0;
  minutes(600);
  expect(session.phase).toBe("open");
  settings.lockAfter = 5;
  vi.setSystemTime(Date.now() + 3_600_000);
  hear["visibilitychange"]?.();
  expect(session.phase).toBe("locked");
});

test("the touch that wakes a machine does not keep them open", () => {
  vi.setSystemTime(Date.now() + 3_600_000);
  hear["pointerdown"]?.();
  expect(session.phase).toBe("locked");
});
