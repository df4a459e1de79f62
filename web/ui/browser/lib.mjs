// What all steps share: the world of the Go side, one browser, and people who use the page in
// contexts of their own.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { test } from "node:test";

export const world = JSON.parse(readFileSync(process.argv[2], "utf8"));
export const require = createRequire(join(world.packages, "package.json"));
const { chromium } = require("playwright-core");
const axeSource = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

/** How long anything may take, ms: the machine may be busy. */
export const patience = 30_000;
export const passphrase = "four words that hardly belong together";

let browser;
export async function launch(...more) {
  browser = await chromium.launch({ executablePath: world.chromium, args: ["--no-sandbox", "--disable-gpu", ...more] });
}
export const close = () => browser.close();

/** Has something done beside the page: see beside_test.go. */
export async function beside(Do, what = {}) {
  const response = await fetch(world.beside, { method: "POST", body: JSON.stringify({ Do, ...what }) });
  const text = await response.text();
  if (!response.ok) throw new Error(text);
  return text;
}

/** Repeats a check until it holds. */
export async function eventually(what, check, most = patience) {
  const end = Date.now() + most;
  for (;;) {
    try {
      const value = await check();
      if (value !== false && value !== undefined) return value;
      if (Date.now() > end) throw new Error(`not within ${most} ms: ${what}`);
    } catch (error) {
      if (Date.now() > end) throw new Error(`not within ${most} ms: ${what}: ${error.message}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** A step of one person, with a browser context of its own that is closed afterwards. */
export function step(name, options, run) {
  if (typeof options === "function") [run, options] = [options, {}];
  const skip = world.only !== "" && !name.includes(world.only);
  return test(name, { skip: skip && "not asked for", timeout: 150_000 }, async (t) => {
    const person = await Person.come(options);
    try {
      await run(person, t);
      await person.clean(options);
    } catch (error) {
      const seen = await person.page.locator("body").innerText({ timeout: 1_000 }).catch(() => "");
      error.stack += `\n--- the page at ${person.page.url()} shows\n${seen.slice(0, 2_500)}\n--- it said\n${person.said.slice(-20).join("\n")}`;
      throw error;
    } finally {
      await person.context.close();
    }
  });
}

/** Somebody before the page. */
export class Person {
  said = []; // by the page, in the browser's console
  sent = []; // requests of the page and its workers: method, URL, headers, body
  refused = []; // by the policy
  outside = []; // requests that go to nobody of ours

  /** Opens the page at a server, a number or a URL, where the fragment says. */
  static async come({ server = 0, phone = false, theme = "dark", confirm = true, axe = false, height = 900 } = {}) {
    const person = new Person();
    person.base = typeof server === "number" ? world.urls[server] : server;
    const viewport = phone ? { width: 390, height: 844 } : { width: 1440, height };
    const liar = typeof server === "string";
    person.context = await browser.newContext({ viewport, serviceWorkers: liar ? "block" : "allow", ...(phone ? { isMobile: true, hasTouch: true, deviceScaleFactor: 2 } : {}), reducedMotion: "reduce" });
    person.context.setDefaultTimeout(patience);
    const ours = new Set([...world.urls, ...Object.values(world.liars)].map((u) => new URL(u).host));
    person.context.on("request", (r) => {
      person.sent.push(r);
      const url = new URL(r.url());
      if (!["data:", "blob:"].includes(url.protocol) && !ours.has(url.host)) person.outside.push(r.url());
    });
    if (liar) await person.context.route(/\/v1\//, (route) => person.#onlyProofs(route));
    await person.context.addInitScript(({ theme, confirm }) => {
      window.refusals = [];
      addEventListener("securitypolicyviolation", (e) => window.refusals.push(`${e.effectiveDirective} ${e.blockedURI} ${e.sourceFile}:${e.lineNumber} ${e.sample}`));
      if (!localStorage.getItem("souk.settings")) localStorage.setItem("souk.settings", JSON.stringify({ theme, confirmOrders: confirm }));
    }, { theme, confirm });
    if (axe) await person.context.addInitScript({ content: axeSource });
    person.page = await person.tab();
    return person;
  }

  /** The page of a liar hears from the others only what proves something: a busy machine would else have it go on with one that is quicker. */
  async #onlyProofs(route) {
    const url = new URL(route.request().url());
    const proof = /\/v1\/(light|leaves|founding)|[?&]proof=1/.test(url.pathname + url.search);
    await (proof || `${url.protocol}//${url.host}` === this.base ? route.continue() : route.abort());
  }

  async tab() {
    const page = await this.context.newPage();
    page.on("console", (m) => this.said.push(`${m.type()}: ${m.text()}`));
    page.on("pageerror", (e) => this.said.push(`error: ${e.stack}`));
    page.on("dialog", (d) => (this.said.push(`error: dialog ${d.message()}`), d.dismiss()));
    return page;
  }

  async open(fragment = "") {
    await this.page.goto(`${this.base}/${fragment}`);
    return this.page;
  }

  /** Goes to another view, without loading the page again. */
  async go(fragment) {
    await this.page.evaluate((to) => void (location.hash = to), fragment);
  }

  button(name, exact = true) {
    return this.page.getByRole("button", { name, exact });
  }
  field(name, exact = true) {
    return this.page.getByLabel(name, { exact });
  }
  dialog() {
    return this.page.getByRole("dialog");
  }
  async sees(text, where = this.page) {
    await where.getByText(text).first().waitFor();
  }

  /** One click to play money. */
  async practise() {
    await this.open("#/start");
    await this.button("Practice with play money").click();
    await this.page.waitForURL(/#\/trade/);
    await this.page.getByRole("button", { name: /^(Buy|Sell) BTC$/ }).waitFor();
    await this.page.locator(".available").getByText(/[1-9]/).waitFor();
  }

  /** Makes keys under a passphrase; answers the words. */
  async create() {
    await this.open("#/start");
    await this.field("Passphrase").fill(passphrase);
    await this.field("The same again").fill(passphrase);
    await this.button("Create my keys").click();
    await this.sees("Write down these twelve words");
    const words = await this.page.locator("ol li .number").allTextContents();
    assert.equal(words.length, 12);
    return words;
  }

  /** How many commands the page has sent. */
  commands() {
    return this.sent.filter((r) => r.method() === "POST" && /\/v1\/commands/.test(r.url())).length;
  }

  /** Nothing was refused by the policy, nothing went elsewhere, nothing failed, and no markup came to life. */
  async clean({ quiet = true } = {}) {
    const { refusals, stolen } = await this.page.evaluate(() => ({ refusals: window.refusals, stolen: window.stolen }));
    assert.deepEqual(refusals, [], "refused by the policy");
    assert.equal(stolen, undefined, "markup came to life");
    assert.equal(await this.page.locator('img[src="x"]').count(), 0, "markup came to life");
    assert.deepEqual(this.outside, [], "requests to others");
    // A request that fails is told of by the browser, whatever the page makes of it.
    const bad = this.said.filter((s) => s.startsWith("error:") && !/Failed to load resource|net::ERR|WebSocket connection/.test(s));
    if (quiet) assert.deepEqual(bad, [], "errors");
  }

  /** What axe finds that is serious or critical. */
  async axe() {
    const found = await this.page.evaluate(async () => {
      const { violations } = await window.axe.run(document, { resultTypes: ["violations"] });
      return violations
        .filter((v) => v.impact === "serious" || v.impact === "critical")
        .map((v) => `${v.impact} ${v.id}: ${v.help}\n${v.nodes.slice(0, 4).map((n) => `    ${n.target.join(" ")}: ${n.any.concat(n.all, n.none).map((c) => c.message).join("; ")}`).join("\n")}`);
    });
    return found;
  }

  /** Writes an order into the form. */
  async write({ side = "Buy", price, quantity, kind }) {
    await this.page.getByRole("group", { name: "Side" }).getByRole("button", { name: side }).click();
    if (kind) await this.page.getByRole("group", { name: "Kind" }).getByRole("button", { name: kind, exact: true }).click();
    if (price !== undefined) await this.field("Limit price").fill(price);
    await this.field("Quantity").fill(quantity);
  }

  /** Sends the order form, and says yes to what is shown. */
  async send(side = "Buy", look = async () => {}) {
    await this.button(`${side} BTC`).click();
    await this.dialog().waitFor();
    await look(this.dialog());
    await this.dialog().getByRole("button", { name: /^(Send|Sign and send)$/ }).click();
    await this.dialog().waitFor({ state: "detached" });
  }
}
