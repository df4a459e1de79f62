// Measures the page in a browser for internal/bench: cold loads first, and then, for as long as
// it is told, frames and memory while the book changes. Prints one line of JSON when the cold
// loads are done, so that who started it begins to trade, and one with everything at the end.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const { packages, chromium: executablePath, url, loads, seconds } = JSON.parse(readFileSync(process.argv[2], "utf8"));
const { chromium } = createRequire(join(packages, "package.json"))("playwright-core");
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });

/** Notes when the first price of the book is in the page, counted from the beginning of the load. */
function watch() {
  const observer = new MutationObserver(() => {
    if (!document.querySelector("tr[data-price]")) return;
    observer.disconnect();
    requestAnimationFrame(() => (window.bookAt = performance.now()));
  });
  observer.observe(document, { childList: true, subtree: true });
}

async function load() {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  await context.addInitScript(watch);
  const page = await context.newPage();
  let script = 0;
  page.on("response", async (r) => {
    if (r.url().endsWith(".js")) script += Number(r.headers()["content-length"] ?? 0);
  });
  await page.goto(url);
  await page.waitForFunction(() => window.bookAt !== undefined);
  return { context, page, at: await page.evaluate(() => window.bookAt), script: () => script };
}

/** Counts frames, changes of the book and tasks that take long, from now on. */
function count() {
  const c = (window.counted = { frames: 0, longest: 0, over: 0, blocks: 0, tasks: 0 });
  let last = performance.now();
  const frame = (now) => {
    c.frames++;
    c.longest = Math.max(c.longest, now - last);
    if (now - last > 100) c.over++;
    last = now;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  new PerformanceObserver((list) => {
    for (const e of list.getEntries()) c.tasks = Math.max(c.tasks, e.duration);
  }).observe({ type: "longtask" });
  new MutationObserver(() => c.blocks++).observe(document.querySelector("tr[data-price]").closest("table"), { childList: true, subtree: true, characterData: true, attributes: true });
}

const cold = [];
for (let i = 0; i < loads; i++) {
  const { context, at } = await load();
  cold.push(at);
  await context.close();
}
const { page, script } = await load();
await page.waitForTimeout(2_000); // what comes later has come
const dev = await page.context().newCDPSession(page);
await dev.send("Performance.enable");
const memory = async () => {
  await dev.send("HeapProfiler.collectGarbage");
  const { metrics } = await dev.send("Performance.getMetrics");
  return Object.fromEntries(metrics.map((m) => [m.name, m.value]));
};
console.log(JSON.stringify({ cold, script: script() }));
// The first quarter fills what is bounded: tape, candles, caches.
await page.waitForTimeout((seconds * 1000) / 4);
const before = await memory();
await page.evaluate(count);
await page.waitForTimeout(seconds * 1000);
const counted = await page.evaluate(() => window.counted);
const after = await memory();
console.log(JSON.stringify({
  counted, seconds, heap: [before.JSHeapUsedSize, after.JSHeapUsedSize], nodes: [before.Nodes, after.Nodes], listeners: [before.JSEventListeners, after.JSEventListeners],
}));
await browser.close();
