// Mail in the page: browsers among peers.
import assert from "node:assert/strict";
import { after, before, describe } from "node:test";
import { beside, close, eventually, launch, step, Person } from "../lib.mjs";

/** Opens mail, and waits until the browser is connected. */
async function mail(person) {
  await person.open("#/network/mail");
  await person.button("Use mail in this browser").click();
  await connected(person);
}

async function connected(person) {
  await person.sees(/^Connected to \d+ peers?$/);
}

const tab = (person, name) => person.page.getByRole("tab", { name }).click();

/** The person's card, as text. */
async function cardOf(person) {
  await tab(person, "My card");
  const line = person.page.locator("[data-card]");
  await line.waitFor();
  return line.getAttribute("data-card");
}

async function add(person, name, card) {
  await tab(person, "Contacts");
  await person.field("Name").fill(name);
  await person.field("Mail card").fill(card);
  await person.button("Add").click();
  await person.sees(`${name} is in your address book.`);
}

async function write(person, to, subject, body) {
  await tab(person, "Write");
  await person.field("To").selectOption({ label: to });
  await person.field("Subject").fill(subject);
  await person.field("Letter").fill(body);
  await person.button("Send").click();
  await person.page.getByRole("tab", { name: "Sent", selected: true }).waitFor();
}

/** Waits for a letter, and reads it. */
async function read(person, subject) {
  await tab(person, /^Inbox/);
  await person.page.getByRole("button", { name: subject }).click();
  await person.page.getByRole("article").waitFor();
  return person.page.getByRole("article").innerText();
}

/** Waits until the first letter in the list of those sent has its receipt. */
async function acknowledged(person) {
  await tab(person, "Sent");
  await person.sees(/read by the reader's mailbox/);
}

const bob = async (what) => JSON.parse(await beside(what)) ?? [];

async function gets(t) {
  await t.open("#/network");
  await t.page.getByRole("link", { name: "Open mail" }).click();
  await t.sees("Mail that only its reader opens");
  // The view of the network may fetch it, as it does all files, to compare them with those of others.
  const scripts = () => t.sent.filter((r) => /\/assets\/office-/.test(r.url()) && r.resourceType() === "script").map((r) => r.url());
  assert.deepEqual(scripts(), [], "the script for the network is fetched before it is used");
  assert.deepEqual(await t.axe(), []);
  await t.button("Use mail in this browser").click();
  await connected(t);
  assert.ok(scripts().length > 0);
  const first = `first to ${t.base}`;
  await beside("write", { Name: t.base, Card: await cardOf(t), Subject: first, Body: "from a peer\nthat is no browser" });
  assert.match(await read(t, first), /from a peer\nthat is no browser/);
  await eventually("Bob hears that it came", async () => (await bob("arrived")).includes(first));
  await t.button("Answer").click();
  await t.field("Letter").fill("from a browser");
  await t.button("Send").click();
  await eventually("Bob has the answer", async () => (await bob("inbox")).includes(`Re: ${first}: from a browser`));
  await acknowledged(t);
  for (const name of ["Contacts", "My card", "Sent", "Write", "Inbox"]) {
    await tab(t, new RegExp(`^${name}`));
    assert.deepEqual(await t.axe(), [], name);
    const wide = await t.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(wide <= 0, `${name} is ${wide} px too wide`);
  }
}

/** Who was away has what was written meanwhile; keys and letters are those of before. */
async function away(t) {
  await mail(t);
  await add(t, "Bob", await beside("card"));
  await write(t, "Bob", "hello", "we have not met");
  await eventually("Bob has a first letter", async () => (await bob("inbox")).includes("hello: we have not met"));
  await acknowledged(t);
  const card = await cardOf(t);
  await t.page.close();
  t.page = await t.tab();
  await beside("write", { Name: "dora", Card: card, Subject: "while you were away", Body: "x".repeat(5_000) });
  await t.open("#/network/mail");
  await connected(t);
  assert.match(await read(t, "while you were away"), /x{5000}/);
  await tab(t, "Contacts");
  await t.sees("Bob");
  const other = await t.tab();
  await other.goto(`${t.base}/#/network/mail`);
  await other.getByText("Mail is open in another tab").waitFor();
  await other.close();
  await t.button("Remove mail from this browser").click();
  await t.dialog().getByRole("button", { name: "Remove" }).click();
  await t.sees("Mail that only its reader opens");
  const bases = await t.page.evaluate(async () => (await indexedDB.databases()).map((d) => d.name));
  assert.ok(!bases.includes("souk-mail"), "the book is still there");
}

/** Two browsers meet through the relay; then they need no server. */
async function direct(carol) {
  const dave = await Person.come({ phone: true });
  try {
    await Promise.all([mail(carol), mail(dave)]);
    for (const t of [carol, dave]) await t.page.locator("details summary").click();
    const own = dave.page.locator("dd .own");
    await own.waitFor();
    await carol.field("Address of another browser").fill((await own.innerText()).trim());
    await carol.button("Connect").click();
    for (const t of [carol, dave]) await t.sees("browser, directly");
    await add(carol, "Dave", await cardOf(dave));
    await beside("end");
    for (const t of [carol, dave]) await t.sees("Connected to 1 peer");
    await write(carol, "Dave", "no server", "between the two of us");
    assert.match(await read(dave, "no server"), /between the two of us/);
    await acknowledged(carol);
    await dave.clean();
  } finally {
    await dave.context.close();
  }
}

describe("peers", { concurrency: 1 }, () => {
  // Browsers of one machine find each other by their addresses here: there may be no multicast DNS.
  before(() => launch("--disable-features=WebRtcHideLocalIpsWithMdns"));
  after(close);
  describe("by a server", { concurrency: 2 }, () => {
    step("a browser gets and sends mail over a WebSocket", { axe: true }, gets);
    step("a browser on a phone gets and sends mail over WebRTC", { server: 1, phone: true, axe: true }, gets);
    step("a browser that was away has its mail when it is back", away);
  });
  describe("alone", () => {
    step("browsers reach each other through a relay, and then without it", direct);
  });
});
