// The page's own server dies while the page is open.
import assert from "node:assert/strict";
import { beside, eventually, step, world } from "./lib.mjs";

export function failover() {
  step("the server of the page is lost, and the page goes on", { confirm: false }, async (p) => {
    const { page } = p;
    await p.practise();
    await eventually("the page is kept", () => page.evaluate(async () => {
      const registration = await navigator.serviceWorker.getRegistration();
      return registration?.active?.state === "activated" && (await caches.keys()).length > 0;
    }));
    await beside("kill", { Server: 0 });
    const began = Date.now();
    await p.sees(/does not answer\. This page goes on with/);
    const after = Date.now() - began;
    await p.write({ price: "50020", quantity: "0.004" });
    await p.button("Buy BTC").click();
    await p.sees(/^▲ Bought 0\.004/);
    await p.go("#/network");
    await p.sees("does not answer");
    // Loaded again, from what the browser keeps; the keys are there.
    await page.reload();
    await page.getByRole("link", { name: /^Account souk1/ }).waitFor();
    await p.go("#/trade/BTC-EUR");
    await p.write({ side: "Sell", price: "49980", quantity: "0.004" });
    await p.button("Sell BTC").click();
    await p.sees(/^▼ Sold 0\.004/);
    await beside("restart", { Server: 0 });
    await p.go("#/network");
    const row = page.getByRole("row").filter({ hasText: world.urls[0].replace("http://", "") });
    await row.getByText("answers", { exact: true }).waitFor();
    assert.ok(after < 10_000, `it took ${after} ms until the page had another server`);
    process.stderr.write(`another server after ${after} ms\n`);
  });
}
