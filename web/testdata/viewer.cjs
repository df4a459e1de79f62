// Runs the script of the page that shows the OpenAPI document, with just enough of a
// browser around it, opens everything, sends one request, and prints all texts.
const fs = require("node:fs");
const vm = require("node:vm");

class Element {
  constructor(name) { this.name = name; this.children = []; this.listeners = {}; this.dataset = {}; this.value = ""; }
  append(...inner) { this.children.push(...inner); }
  addEventListener(kind, listener) { this.listeners[kind] = listener; }
  setAttribute(name, value) { this[name] = value; }
  set textContent(text) { this.children = [text]; }
  set innerHTML(_) { throw new Error("the page makes markup"); }
  get all() { return [this, ...this.children.flatMap((c) => (c instanceof Element ? c.all : []))]; }
  get text() { return this.children.map((c) => (c instanceof Element ? c.text : String(c))).join(" "); }
}

const main = new Element("main");
const asked = [];
const answer = (url) => {
  asked.push(url);
  const text = url === "openapi.json" ? fs.readFileSync(process.argv[3], "utf8") : '{"answered":"yes"}';
  return { status: 200, statusText: "OK", json: async () => JSON.parse(text), text: async () => text };
};
vm.runInNewContext(fs.readFileSync(process.argv[2], "utf8"), {
  URLSearchParams, encodeURIComponent, fetch: async (url) => answer(url),
  document: { createElement: (name) => new Element(name), getElementById: () => main },
});

setImmediate(async () => {
  for (let opened = true; opened; ) {
    opened = false;
    for (const e of main.all) {
      if (!e.listeners.toggle) continue;
      const open = e.listeners.toggle;
      delete e.listeners.toggle;
      open();
      opened = true;
    }
  }
  await main.all.find((e) => e.name === "button").listeners.click();
  console.log(main.text);
  console.log("asked:", asked.join(" "));
});
