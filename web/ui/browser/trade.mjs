// Orders, by pointer, by keys alone, on a phone.
import assert from "node:assert/strict";
import { beside, eventually, step } from "./lib.mjs";

export function trade() {
  step("a practice trade, and why it has its price", async (p) => {
    const { page } = p;
    await p.practise();
    // The ladder fills the form.
    const row = page.getByRole("grid").locator("tr.sell[data-price]").last();
    const price = (await row.locator("td.price").innerText()).replace(/[^\d.]/g, "");
    await row.click();
    assert.equal(Number(await p.field("Limit price").inputValue()), Number(price));
    await p.write({ price, quantity: "0.01" });
    await p.send("Buy", async (dialog) => {
      await p.sees("Buy 0.01", dialog);
      await p.sees("Costs at most", dialog);
    });
    await p.sees(/^▲ Bought 0\.01/);
    await page.getByRole("tab", { name: "Fills" }).click();
    await p.button("Why this price", false).first().click();
    await p.sees(/Checked by your browser against the signed header/);
    await p.dialog().getByRole("button", { name: "Close" }).click();
    // An order that rests is marked in the ladder, changed, and cancelled.
    await p.write({ price: "49000", quantity: "0.02" });
    await p.send("Buy");
    await page.getByRole("tab", { name: /Open orders/ }).click();
    await p.button("Change order", false).click();
    await p.dialog().getByLabel(/Quantity/).fill("0.015");
    await p.dialog().getByRole("button", { name: "Change the order" }).click();
    await page.getByRole("dialog").getByRole("button", { name: /^(Send|Sign and send)$/ }).click();
    await page.getByRole("cell", { name: "0.015", exact: true }).waitFor();
    await p.button("Cancel: Buy", false).click();
    await p.sees("No open orders.");
  });

  step("every kind of order", { confirm: false }, async (p) => {
    const { page } = p;
    await p.practise();
    const kind = p.field("Other kinds of orders");
    const count = async (n) => eventually(`${n} open orders`, async () => (await page.getByRole("row").filter({ has: p.button("Cancel:", false) }).count()) === n);
    await p.write({ quantity: "0.01", kind: "Market" });
    await p.button("Buy BTC").click();
    await p.sees(/^▲ Bought 0\.01/);
    // Back at a limit, it waits in the book.
    await p.write({ price: "48500", quantity: "0.01", kind: "Limit" });
    await p.button("Buy BTC").click();
    await count(1);
    let open = 1;
    for (const [name, fields, legs] of [
      ["stop", { "Trigger price": "51000" }, 1],
      ["stop-limit", { "Trigger price": "51000", "Limit price": "51100" }, 1],
      ["take-profit", { "Trigger price": "49000" }, 1],
      ["take-profit-limit", { "Trigger price": "49000", "Limit price": "48900" }, 1],
      ["oco", { "Limit price": "48000", "Trigger price": "52000" }, 2],
    ]) {
      await kind.selectOption(name);
      for (const [field, value] of Object.entries({ ...fields, Quantity: "0.01" })) await p.field(field).fill(value);
      await p.button("Buy BTC").click();
      await count((open += legs));
    }
    await p.button("Cancel all").click();
    await p.dialog().getByRole("button", { name: /^(Send|Sign and send)$/ }).click();
    await p.sees("No open orders.");
  });

  step("a fill of a resting order is told of", { confirm: false }, async (p) => {
    await p.practise();
    await p.write({ side: "Sell", price: "50005", quantity: "0.003" });
    await p.button("Sell BTC").click();
    await p.button("Cancel: Sell", false).waitFor();
    await beside("trade", { Side: "buy", Price: "50005.00000000", Amount: "0.00300000" });
    await p.sees(/^▼ Sold 0\.003/);
    await p.sees("No open orders.");
    assert.match(await p.page.getByRole("status").first().innerText(), /Sold 0\.003/);
  });

  step("a trade by keys alone", async (p) => {
    const { page } = p;
    const key = (k) => page.keyboard.press(k);
    const focused = () => page.evaluate(() => document.activeElement?.textContent?.trim() ?? "");
    await p.open("#/start");
    await p.button("Practice with play money").waitFor();
    for (let i = 0; i < 40 && !(await focused()).startsWith("Practice with play money"); i++) await key("Tab");
    await key("Enter");
    await page.waitForURL(/#\/trade/);
    await p.button("Buy BTC").waitFor();
    await key("?");
    await p.sees("Shift + X", p.dialog());
    await key("Escape");
    await p.dialog().waitFor({ state: "detached" });
    await key("b");
    await eventually("the price has the focus", () => page.evaluate(() => document.activeElement?.labels?.[0]?.textContent === "Limit price"));
    await page.keyboard.type("49100");
    for (let i = 0; i < 8 && !(await page.evaluate(() => document.activeElement?.labels?.[0]?.textContent === "Quantity")); i++) await key("Tab");
    await key("Control+A");
    await page.keyboard.type("0.01");
    await key("Enter");
    await p.dialog().waitFor();
    await key("Enter");
    await p.button("Cancel: Buy", false).waitFor();
    await key("Escape");
    await key("Shift+X");
    await p.sees("Cancel all orders", p.dialog());
    await key("Enter");
    await p.sees("No open orders.");
    // Sell, at a price out of the ladder.
    const grid = page.getByRole("grid");
    await grid.focus();
    await key("ArrowDown");
    await eventually("a price is marked", async () => (await grid.getAttribute("aria-activedescendant")) !== null);
    await key("Enter");
    await key("s");
    for (let i = 0; i < 8 && !(await page.evaluate(() => document.activeElement?.labels?.[0]?.textContent === "Quantity")); i++) await key("Tab");
    await key("Control+A");
    await page.keyboard.type("0.01");
    await key("Enter");
    await p.dialog().waitFor();
    await key("Enter");
    await p.sees(/^▼ Sold 0\.01/);
    await key("Escape");
    await key("/");
    await p.dialog().waitFor();
    await page.keyboard.type("LTC");
    await key("Enter");
    await page.waitForURL(/LTC-BTC/);
  });

  step("a trade on a phone", { phone: true }, async (p) => {
    const { page } = p;
    await p.practise();
    await page.getByRole("tab", { name: "Book" }).tap();
    await page.getByRole("grid").locator("tr.sell[data-price]").last().tap();
    await p.field("Quantity").fill("0.005");
    await p.button("Buy BTC").tap();
    await p.dialog().getByRole("button", { name: /^(Send|Sign and send)$/ }).tap();
    await p.sees(/^▲ Bought 0\.005/);
    const bar = page.getByRole("navigation", { name: "Main" });
    for (const [view, text] of [["Money", "Balances"], ["Network", "Members"], ["Settings", "Theme"], ["Trade", "Open orders"]]) {
      await bar.getByRole("link", { name: view, exact: true }).last().tap();
      await p.sees(text);
      await fits(p, view);
    }
  });
}

/** Nothing is wider than the phone, and what is touched is large enough. */
async function fits(p, view) {
  const found = await p.page.evaluate(() => {
    const small = [];
    for (const e of document.querySelectorAll("button, select, input:not([type=checkbox]):not([type=radio]), nav a")) {
      const box = e.getBoundingClientRect();
      if (box.width === 0 || box.height === 0 || e.closest(".sr, [aria-hidden=true], table") || getComputedStyle(e).visibility === "hidden") continue;
      if (box.height < 39.5) small.push(`${e.tagName} ${e.getAttribute("aria-label") ?? e.textContent.trim().slice(0, 30)} ${Math.round(box.height)} px`);
    }
    return { wide: document.scrollingElement.scrollWidth - innerWidth, small };
  });
  assert.ok(found.wide <= 0, `${view} is ${found.wide} px wider than the phone`);
  assert.deepEqual(found.small, [], `${view}: too small to touch`);
}
