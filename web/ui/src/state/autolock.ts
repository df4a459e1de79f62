/** Locks the keys when nobody has touched the page for the time of the settings, in no tab. */
import { session } from "./session.svelte.ts";
import { settings } from "./settings.svelte.ts";

const place = "souk.touched";
const look = 5_000; // ms

/** Begins to watch. Answers what ends that. */
export function startAutolock(): () => void {
  let touched = Date.now();
  const touch = () => {
    check(); // or the first touch of a machine that slept would keep the keys open
    const now = Date.now();
    // Other tabs hear of it, but not of every key.
    if (now - touched > look && session.phase === "open") localStorage.setItem(place, String(now));
    touched = now;
  };
  const check = () => {
    const minutes = settings.lockAfter;
    if (minutes === 0 || session.phase !== "open") return;
    const last = Math.max(touched, Number(localStorage.getItem(place) ?? 0));
    if (Date.now() - last >= minutes * 60_000) session.lock();
  };
  const events = ["pointerdown", "keydown", "wheel", "touchstart"] as const;
  for (const event of events) addEventListener(event, touch, { passive: true });
  // A machine that slept is looked at when it wakes.
  document.addEventListener("visibilitychange", check);
  const timer = setInterval(check, look);
  return () => {
    for (const event of events) removeEventListener(event, touch);
    document.removeEventListener("visibilitychange", check);
    clearInterval(timer);
  };
}
