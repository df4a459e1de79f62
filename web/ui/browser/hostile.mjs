// Servers that lie: the page finds out, says who it was, and signs nothing that it has not shown.
import assert from "node:assert/strict";
import { eventually, step, world } from "./lib.mjs";

const wrongAddress = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";

export function hostile() {
  step("a server swaps a deposit address", { server: world.liars.address }, async (p) => {
    const { page } = p;
    await p.create();
    await p.go("#/money/deposit/BTC");
    await p.button("Show my address").click();
    await p.sees(/shows an address that is not derived from the bank's keys/, page.getByRole("alert"));
    const shown = async () => {
      const text = await page.locator("p.sr", { hasText: "deposit address: " }).textContent();
      return text.slice(text.lastIndexOf(" ") + 1);
    };
    const own = await shown();
    assert.match(own, /^bcrt1/);
    assert.notEqual(own, wrongAddress, "the thief's address is shown");
    assert.equal(await page.getByRole("button", { name: "Copy address" }).count(), 1);
    // It is there already: now the list of own addresses is a lie.
    await p.go("#/money/balances");
    await p.go("#/money/deposit/BTC");
    await p.button("Show my address").click();
    await p.sees(/deposit address/);
    assert.equal(await shown(), own);
  });

  step("a server tells of other amounts", { server: world.liars.amount }, async (p) => {
    const { page } = p;
    await p.practise();
    await p.go("#/money/balances");
    await p.sees("910 000.00000000");
    await p.button("Prove all").click();
    await p.sees(/Servers say other amounts than are proven of block \d+/);
    await page.getByRole("cell", { name: "10 000.00000000" }).first().waitFor();
    assert.equal(await page.getByText("910 000.00000000").count(), 0);
  });

  step("a server tells of other decimals", { server: world.liars.decimals }, async (p) => {
    await p.practise();
    const before = p.commands();
    await p.write({ price: "50010", quantity: "0.01" });
    await p.button("Buy BTC").click();
    await p.sees(/Nothing was signed|is not what is proven/);
    assert.equal(await p.dialog().count(), 0);
    assert.equal(p.commands(), before, "a command was sent");
    await p.go("#/money/send/BTC");
    await p.field("Account (souk1…)").fill(world.maker);
    await p.field("Amount").fill("0.01");
    await p.button("Review payment").click();
    // Either it is refused, or what is shown is what is proven.
    await eventually("a refusal or what is true", async () => (await p.page.getByRole("alert").count()) + (await p.dialog().count()) > 0);
    if ((await p.dialog().count()) > 0) await p.sees("Send 0.01 BTC", p.dialog());
    assert.equal(p.commands(), before, "a command was sent");
  });

  step("a server shows another book", { server: world.liars.book }, async (p) => {
    await p.practise();
    await p.sees("55 010");
    await p.write({ price: "55010", quantity: "0.01" });
    const before = p.commands();
    await p.button("Buy BTC").click();
    // The price is in the bytes, so it is in the words.
    await p.sees(/55\s?010/, p.dialog());
    assert.equal(p.commands(), before);
    await p.dialog().getByRole("button", { name: "Cancel" }).click();
    assert.equal(p.commands(), before, "a command was sent");
  });

  step("a server forges proofs", { server: world.liars.proof }, async (p) => {
    await p.practise();
    await p.go("#/money/balances");
    await p.button("Prove all").click();
    // The others prove it; who lied is named somewhere, or nothing is claimed.
    // Others prove it, and who forged is named.
    await p.sees(/All balances are proven by the signed header/);
    await p.go("#/money/banks");
    await p.sees("Covered");
    await p.go("#/network");
    await p.sees(/^Block [\d,]+$/);
    await p.sees(/was seen to lie: .*that does not hold|was seen to lie: sends something that cannot be read/);
  });

  step("a server sends markup instead of texts", { server: world.liars.markup, quiet: false }, async (p) => {
    for (const view of ["#/trade", "#/money/banks", "#/network", "#/settings", "#/start"]) {
      await p.open(view);
      await p.page.locator("main h1, main h2, main section").first().waitFor();
      await p.clean({ quiet: false });
    }
    await p.open("#/network");
    await p.sees("Members");
  });

  step("markup in every field", async (p) => {
    const { page } = p;
    await p.practise();
    const evil = `"><img src=x onerror="window.stolen=1"><script>window.stolen=1</script>`;
    const views = ["#/trade/BTC-EUR", `#/trade/${encodeURIComponent(evil)}`, "#/money/withdraw/BTC", `#/money/deposit/${encodeURIComponent(evil)}`, "#/money/send/EUR", "#/money/security", "#/start/restore", "#/settings"];
    let written = 0;
    for (const view of views) {
      await p.go(view);
      await page.locator("main :is(h1, h2, section, button)").first().waitFor();
      for (const more of await page.getByRole("button", { name: /^(Let a key act for you|Names)$/ }).all()) await more.click();
      for (const fold of await page.locator("main details:not([open]) > summary").all()) await fold.click();
      const fields = page.locator("main input:not([type=checkbox]):not([type=radio]):not([type=datetime-local]):not([readonly]):not([disabled]), main textarea");
      for (const field of await fields.all()) {
        if (!(await field.isEditable().catch(() => false))) continue;
        await field.fill(evil);
        await field.press("Tab");
        written++;
      }
      for (const button of await page.locator("main form button[type=submit]:enabled").all()) await button.click({ timeout: 2_000 }).catch(() => {});
      if ((await p.dialog().count()) > 0) await page.keyboard.press("Escape");
    }
    assert.ok(written >= 10, `only ${written} fields`);
    await page.keyboard.press("Escape");
    await p.go("#/trade/BTC-EUR");
    await p.button("Buy BTC").waitFor();
    await page.evaluate(() => document.activeElement?.blur());
    await page.keyboard.press("/");
    await page.getByRole("combobox", { name: "Search markets" }).fill(evil);
    await p.sees("No market of that name.");
  });
}
