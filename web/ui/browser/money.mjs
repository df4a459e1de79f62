// Keys, money in and out.
import assert from "node:assert/strict";
import { beside, eventually, passphrase, step, world } from "./lib.mjs";

export function money() {
  step("from nothing to a deposit, a withdrawal, and back from words", async (p) => {
    const { page } = p;
    const words = await p.create();
    await p.button("I have them: check").click();
    // A wrong word first.
    const asked = page.getByLabel(/^Word \d+$/);
    for (const field of await asked.all()) await field.fill("zebra");
    await p.button("Compare").click();
    await p.sees("That is not what was shown");
    for (const field of await asked.all()) {
      const label = await field.evaluate((f) => f.labels[0].textContent);
      await field.fill(words[Number(/\d+/.exec(label)[0]) - 1]);
    }
    await p.button("Compare").click();
    await page.getByRole("link", { name: "Deposit BTC" }).click();
    const address = await deposit(p);
    const account = await page.evaluate(() => JSON.parse(localStorage.getItem("souk.account") ?? "{}"));
    assert.equal(account.practice, undefined, "words of a real account are kept without a passphrase");
    await withdraw(p);
    await out(p, words, address);
    secrets(p, words);
  });

  step("what is sent on Souk arrives, and a message is only text", async (p) => {
    const { page } = p;
    await p.practise();
    await p.go("#/money/send/EUR");
    await p.sees("Payments seen by this page");
    const own = (await page.locator("p.sr", { hasText: "Your account: " }).textContent()).replace("Your account: ", "");
    assert.match(own, /^souk1/);
    const memo = `<img src=x onerror="window.stolen=1">{{1}}`;
    await beside("send", { Address: own, Amount: "12.50000000", Memo: memo });
    await p.sees(memo);
    await p.field("Account (souk1…)").fill(world.maker);
    await p.field("Amount").fill("5");
    await p.field("Message").fill(memo);
    await p.button("Review payment").click();
    const dialog = p.dialog();
    await p.sees("Send 5", dialog);
    assert.ok((await dialog.innerText()).replace(/\s/g, "").includes(world.maker), "the whole address is not shown");
    await p.sees(memo, dialog);
    const before = p.commands();
    await dialog.getByRole("button", { name: "Cancel" }).click();
    assert.equal(p.commands(), before, "a payment was sent though the user said no");
    await p.button("Review payment").click();
    await p.dialog().getByRole("button", { name: "Sign and send" }).click();
    await p.sees(/^Sent 5/);
    await p.go("#/money/balances");
    await p.sees("10 007.5");
  });

  step("the bank is solvent, by the page's own check", async (p) => {
    await p.open("#/money/banks");
    await p.sees("Covered");
    await p.sees(/checked \d+ s ago by your browser/);
  });
}

/** Shows an address, is paid to it, and follows the payment until it is credited. Answers the address. */
async function deposit(p) {
  const { page } = p;
  await p.button("Show my address").click();
  await p.sees("Derived here from the members' proven keys, and proven to be yours");
  const said = await page.locator("p.sr", { hasText: "deposit address: " }).textContent();
  const address = said.slice(said.lastIndexOf(" ") + 1);
  assert.match(address, /^bcrt1/);
  await beside("pay", { Address: address, Amount: "1.00000000" });
  const bar = page.getByRole("progressbar");
  await beside("mine", { Blocks: 1 });
  await bar.waitFor();
  const of = Number(await bar.getAttribute("aria-valuemax"));
  const far = async () => Number((await bar.getAttribute("aria-valuenow", { timeout: 500 })) ?? "0");
  const first = await eventually("the bar has begun", async () => (await far()) > 0 && far());
  assert.ok(first < of, `the bar is full at once: ${first} of ${of}`);
  await beside("mine", { Blocks: 1 });
  await eventually("the bar has moved", async () => (await page.getByText("Credited", { exact: true }).count()) > 0 || (await far()) > first);
  await beside("mine", { Blocks: 4 });
  await page.getByText("Credited", { exact: true }).waitFor();
  await p.go("#/money/balances");
  const row = page.getByRole("row", { name: /BTC/ });
  await row.getByText("1.00000000").first().waitFor();
  await p.button("Prove all").click();
  await p.sees(/All balances are proven by the signed header/);
  return address;
}

/** Withdraws to a wallet outside, which has it to the unit. */
async function withdraw(p) {
  const { page } = p;
  const wallet = await beside("wallet");
  await p.go("#/money/withdraw/BTC");
  await p.field("BTC address to pay to").fill(world.maker);
  await p.sees("This is an account on Souk");
  await p.field("BTC address to pay to").fill(`${wallet.slice(0, -1)}${wallet.endsWith("q") ? "p" : "q"}`);
  await p.field("Amount that arrives").fill("0.25");
  assert.ok(await p.button("Review withdrawal").isDisabled(), "an address with a wrong checksum is taken");
  await p.field("BTC address to pay to").fill(wallet);
  await p.sees("its checksum is right");
  // Rates of a chain without other traffic jump: it shall not wait for a lower one.
  await p.field("Set the fee limit myself").check();
  await p.page.getByLabel(/^Fee at most/).last().fill("0.01");
  await p.button("Review withdrawal").click();
  const dialog = p.dialog();
  await p.sees("Withdraw 0.25", dialog);
  assert.ok((await dialog.innerText()).replace(/\s/g, "").includes(wallet), "the whole address is not shown");
  await dialog.getByRole("button", { name: "Sign and send" }).click();
  const list = page.getByRole("list", { name: "" }).or(page.locator("ul")).filter({ hasText: wallet });
  await list.first().waitFor();
  await eventually("the withdrawal has arrived", async () => {
    await beside("mine", { Blocks: 1 });
    return (await beside("received", { Address: wallet })) === "0.25000000";
  });
  await p.sees(/Mined|Paid/);
}

/** Locks, opens, signs out, and comes back from words. */
async function out(p, words, address) {
  const { page } = p;
  await p.button("Lock").click();
  await page.getByRole("link", { name: "Unlock", exact: true }).click();
  await p.field("Passphrase").fill("not the one");
  await p.button("Unlock").click();
  await page.locator('[aria-invalid="true"]').waitFor();
  await p.field("Passphrase").fill(passphrase);
  await p.button("Unlock").click();
  await page.waitForURL(/#\/trade/);
  await p.go("#/settings");
  const own = await page.locator("small", { hasText: /^souk1/ }).textContent();
  await p.button("Sign out").click();
  await p.button("Wipe everything").click();
  await page.waitForURL(/#\/start/);
  await p.sees("Create your account");
  const left = await page.evaluate(async () => ({ local: JSON.stringify({ ...localStorage }), bases: (await indexedDB.databases()).map((d) => d.name) }));
  assert.ok(!left.local.includes(own), `something of the account is left: ${left.local}`);
  const kept = await page.evaluate(async (names) => {
    const all = [];
    for (const name of names) {
      const db = await new Promise((resolve, reject) => Object.assign(indexedDB.open(name), { onsuccess: (e) => resolve(e.target.result), onerror: reject }));
      for (const store of db.objectStoreNames) {
        all.push(...(await new Promise((resolve) => (db.transaction(store).objectStore(store).getAll().onsuccess = (e) => resolve(e.target.result)))).map((v) => JSON.stringify(v)));
      }
      db.close();
    }
    return all.join("\n");
  }, left.bases);
  assert.ok(!kept.includes("scrypt") && !kept.includes(own), `a vault is left: ${kept.slice(0, 500)}`);

  await page.getByRole("link", { name: /restore it from its words/ }).click();
  await p.field("Words").fill(`${words.slice(0, 11).join(" ")} zzzz`);
  await p.field("Passphrase").fill(passphrase);
  await p.field("The same again").fill(passphrase);
  await p.button("Restore my account").click();
  await p.sees(/zzzz/);
  await p.field("Words").fill(`  ${words.join("  ").toUpperCase()} `);
  await p.button("Restore my account").click();
  await page.waitForURL(/#\/trade/);
  await p.go("#/settings");
  await p.sees(own);
  await p.go("#/money/deposit/BTC");
  await p.sees("Credited");
  assert.ok(address !== "");
  // Kept over a reload, and locked then.
  await page.reload();
  await page.getByRole("link", { name: "Unlock", exact: true }).waitFor();
}

/** No server has ever seen a secret. */
function secrets(p, words) {
  const phrase = words.join(" ");
  for (const r of p.sent) {
    const all = `${r.url()} ${JSON.stringify(r.headers())} ${r.postDataBuffer()?.toString("latin1") ?? ""}`;
    assert.ok(!all.includes(passphrase) && !all.includes(phrase) && !all.includes(words.slice(0, 3).join(" ")), `a secret was sent: ${r.method()} ${r.url()}`);
  }
}
