// How it looks: for eyes, for screen readers, and for the browser's guards.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { step, world } from "./lib.mjs";

const views = [
  ["#/trade", "Open orders"], ["#/money/balances", "Worth about"], ["#/money/deposit", "Deposit"], ["#/money/withdraw", "Withdraw"], ["#/money/send", "Send on Souk"],
  ["#/money/history", "History"], ["#/money/banks", "Covered"], ["#/money/security", "Withdrawal settings"], ["#/network", "Newest proven block"], ["#/settings", "Theme"],
];

export function look() {
  for (const theme of ["dark", "light"]) {
    step(`axe finds nothing serious, ${theme}`, { axe: true, theme }, async (p) => {
      const found = [];
      const check = async (what) => found.push(...(await p.axe()).map((f) => `${what}: ${f}`));
      await p.open("#/start");
      await p.button("Practice with play money").waitFor();
      await check("#/start");
      await p.go("#/start/restore");
      await p.sees("Restore from words");
      await check("#/start/restore");
      await p.practise();
      for (const [view, text] of views) {
        await p.go(view);
        await p.sees(text);
        await check(view);
      }
      await p.go("#/trade");
      await p.page.getByRole("tab", { name: "Depth" }).click();
      await p.page.getByLabel(/Sums of buys and sells/).waitFor();
      await check("depth");
      await p.write({ price: "49000", quantity: "0.01" });
      await p.button("Buy BTC").click();
      await p.dialog().waitFor();
      await check("question");
      await p.dialog().getByRole("button", { name: /^(Send|Sign and send)$/ }).click();
      await p.button("Cancel: Buy", false).waitFor();
      await check("an open order");
      await p.page.keyboard.press("Escape");
      await p.page.evaluate(() => document.activeElement?.blur());
      await p.page.keyboard.press("?");
      await p.dialog().waitFor();
      await check("help");
      assert.deepEqual(found, []);
    });
  }

  step("axe finds nothing serious on a phone", { axe: true, phone: true }, async (p) => {
    const found = [];
    await p.practise();
    for (const [view, text] of views) {
      await p.go(view);
      await p.sees(text);
      found.push(...(await p.axe()).map((f) => `${view}: ${f}`));
    }
    assert.deepEqual(found, []);
  });

  step("headers, and a policy that lets nothing through", async (p) => {
    const { page } = p;
    const response = await page.goto(`${p.base}/`);
    const headers = response.headers();
    const policy = headers["content-security-policy"];
    const origins = [...world.urls, ...Object.values(world.liars)].flatMap((u) => [u, u.replace(/^http/, "ws")]);
    const directives = Object.fromEntries(policy.split(";").map((d) => [d.trim().split(" ")[0], d.trim().split(" ").slice(1)]));
    assert.deepEqual(directives["connect-src"].toSorted(), ["'self'", ...origins].toSorted());
    delete directives["connect-src"];
    assert.deepEqual(directives, {
      "default-src": ["'none'"], "script-src": ["'self'"], "style-src": ["'self'"], "img-src": ["'self'", "data:"], "font-src": ["'self'"], "worker-src": ["'self'"], "manifest-src": ["'self'"],
      "base-uri": ["'none'"], "form-action": ["'none'"], "frame-ancestors": ["'none'"], "require-trusted-types-for": ["'script'"], "trusted-types": ["svelte-trusted-html", "souk-worker"],
    });
    for (const [name, value] of Object.entries({
      "x-content-type-options": "nosniff", "referrer-policy": "no-referrer", "cross-origin-opener-policy": "same-origin", "cross-origin-resource-policy": "same-origin",
    })) assert.equal(headers[name], value, name);
    assert.match(headers["permissions-policy"], /camera=\(\)/);
    assert.equal(headers["set-cookie"], undefined);
    // The browser does guard it.
    const tried = await page.evaluate(async () => {
      const results = {};
      const attempt = async (what, run) => {
        try {
          await run();
          results[what] = "done";
        } catch (error) {
          results[what] = error.name;
        }
      };
      await attempt("markup", () => (document.createElement("p").innerHTML = "<b>x</b>"));
      await attempt("policy", () => window.trustedTypes.createPolicy("other", { createHTML: (s) => s }));
      await attempt("elsewhere", () => fetch("http://127.0.0.1:9/"));
      await attempt("worker", () => new Worker("data:text/javascript,1"));
      return results;
    });
    assert.deepEqual(tried, { markup: "TypeError", policy: "TypeError", elsewhere: "TypeError", worker: "TypeError" });
    await page.evaluate(() => (window.refusals.length = 0));
    p.outside.length = p.said.length = 0;
    // Nothing is kept but what the page needs, and there are no cookies.
    assert.deepEqual(await p.context.cookies(), []);
    // Every view lives with the policy.
    await p.practise();
    for (const [view, text] of views) {
      await p.go(view);
      await p.sees(text);
    }
  });

  step("the network, and the hash of the page", async (p) => {
    await p.open("#/network");
    for (const name of world.names) await p.sees(name);
    await p.sees(/^Block [\d,]+$/);
    const list = Buffer.from(await (await fetch(`${p.base}/page.txt`)).arrayBuffer());
    await p.sees(createHash("sha256").update(list).digest("hex"));
    await p.sees("✓ the same");
    await p.sees(world.id);
  });

  for (const theme of ["dark", "light"]) {
    for (const phone of [false, true]) pictures(theme, phone);
  }
}

/** Pictures of the main views for the README, only when they are asked for. */
function pictures(theme, phone) {
  if (world.update === "") return;
  step(`pictures, ${theme}, ${phone ? "phone" : "desktop"}`, { theme, phone, confirm: false, height: 860 }, async (p) => {
    const { page } = p;
    const shoot = async (name) => {
      await page.locator(".notices li").first().waitFor({ state: "detached" }).catch(() => {});
      await page.evaluate(() => (document.activeElement?.blur(), scrollTo(0, 0)));
      await page.screenshot({ path: join(world.update, `page-${name}-${theme}${phone ? "-phone" : ""}.png`), animations: "disabled" });
    };
    await p.open("#/start");
    await p.button("Practice with play money").waitFor();
    if (!phone) await shoot("start");
    await p.practise();
    await p.write({ price: "50020", quantity: "0.012" });
    await p.button("Buy BTC").click();
    await p.sees(/Bought/);
    await p.write({ price: "49970", quantity: "0.02" });
    await p.button("Buy BTC").click();
    await p.button("Cancel: Buy", false).waitFor();
    // The chart of a world that is a minute old has one candle.
    await page.getByRole("tab", { name: phone ? "Book" : "Depth" }).click();
    await (phone ? page.getByRole("grid") : page.getByLabel(/Sums of buys and sells/)).waitFor();
    await shoot("trade");
    await p.go("#/money/balances");
    await p.button("Prove all").click();
    await p.sees(/All balances are proven/);
    await shoot("money");
    if (phone) return;
    await p.go("#/money/banks");
    await p.sees("Covered");
    await shoot("banks");
    await p.go("#/network");
    await p.sees("✓ the same");
    await p.sees(/^Block [\d,]+$/);
    await shoot("network");
  });
}
