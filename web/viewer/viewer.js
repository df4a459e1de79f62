// Shows openapi.json, which stands beside this page. Everything is made of elements and
// texts, never of markup, and nothing is asked for from anywhere else.
"use strict";

// element makes an element with a class and what is in it: texts and elements.
function element(name, kind, ...inner) {
  const e = document.createElement(name);
  if (kind) e.className = kind;
  e.append(...inner.filter((x) => x !== undefined && x !== null && x !== ""));
  return e;
}

// resolve follows a reference within the document.
function resolve(doc, schema) {
  if (!schema || !schema.$ref) return [schema, ""];
  const name = schema.$ref.split("/").pop();
  return [doc.components.schemas[name], name];
}

// typeOf is the type of a schema in a few words.
function typeOf(doc, schema) {
  const [is, name] = resolve(doc, schema);
  if (!is) return "";
  const type = Array.isArray(is.type) ? is.type.join(" or ") : is.type;
  if (is.type === "array") return "list of " + typeOf(doc, is.items);
  if (name) return name;
  const bounds = ["minimum", "maximum", "minLength", "maxLength", "default"].filter((k) => is[k] !== undefined).map((k) => k + " " + is[k]);
  if (is.enum) bounds.unshift(is.enum.join(", "));
  return (type || "any") + (bounds.length ? ": " + bounds.join("; ") : "");
}

// fields is a table of the fields of a schema; those that are objects open on demand.
function fields(doc, schema, within) {
  const [is, name] = resolve(doc, schema);
  if (!is) return "";
  if (is.type === "array") return fields(doc, is.items, within);
  if (!is.properties || within.includes(name)) return "";
  const rows = Object.entries(is.properties).map(([field, of]) => {
    const inner = fields(doc, of, [...within, name]);
    const text = element("td", "", of.description || resolve(doc, of)[0].description || "");
    if (inner) text.append(lazily(typeOf(doc, of), () => [inner]));
    return element("tr", "", element("td", "", element("code", "", field)), element("td", "quiet", typeOf(doc, of)), text);
  });
  return element("table", "", ...rows);
}

// lazily is a part that is made when it is opened.
function lazily(title, make) {
  const d = element("details", "", element("summary", "", ...(Array.isArray(title) ? title : [title])));
  d.addEventListener("toggle", () => d.append(...make()), { once: true });
  return d;
}

// trial lets the reader send a request that needs no signature.
function trial(path, op) {
  const values = {};
  const rows = (op.parameters || []).filter((p) => p.in !== "header").map((p) => {
    const input = element("input", "filter");
    input.setAttribute("aria-label", p.name);
    input.value = p.in === "path" ? String(p.example ?? p.schema.example ?? "") : "";
    values[p.name] = () => input.value;
    return element("tr", "", element("td", "", element("code", "", p.name)), element("td", "", input));
  });
  const out = element("pre", "", "");
  out.hidden = true;
  const send = element("button", "", "Send");
  send.addEventListener("click", async () => {
    const query = new URLSearchParams();
    let target = path;
    for (const p of op.parameters || []) {
      if (p.in === "path") target = target.replace("{" + p.name + "}", encodeURIComponent(values[p.name]()));
      if (p.in === "query" && values[p.name]()) query.set(p.name, values[p.name]());
    }
    out.hidden = false;
    try {
      const response = await fetch(target.replace(/^\/v1\//, "") + (query.size ? "?" + query : ""), { headers: { Accept: "application/json" } });
      const text = await response.text();
      let shown = text;
      try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch { /* it is no JSON */ }
      out.textContent = response.status + " " + response.statusText + "\n" + shown;
    } catch (error) {
      out.textContent = String(error);
    }
  });
  return element("div", "", element("table", "", ...rows), send, out);
}

// operation is one operation, closed.
function operation(doc, path, method, op) {
  const title = [element("span", "method", method.toUpperCase()), element("span", "path", path), " ", element("span", "quiet", op.summary || "")];
  const d = lazily(title, () => {
    const parts = [element("p", "quiet", op.operationId), element("p", "", op.description || "")];
    const rows = (op.parameters || []).map((p) => element("tr", "",
      element("td", "", element("code", "", p.name)), element("td", "quiet", p.in + (p.required ? ", needed" : "")),
      element("td", "quiet", typeOf(doc, p.schema)), element("td", "", p.description || "")));
    if (rows.length) parts.push(element("h2", "", "Parameters"), element("table", "", ...rows));
    const contents = Object.entries((op.requestBody && op.requestBody.content) || {}).map(([media, of]) => ["Body", media, of.schema]);
    for (const [status, response] of Object.entries(op.responses || {})) {
      for (const [media, of] of Object.entries(response.content || {})) contents.push(["Response " + status, media, of.schema]);
      if (!response.content) contents.push(["Response " + status, response.description, undefined]);
    }
    for (const [what, media, schema] of contents) {
      parts.push(element("h2", "", what, " ", element("code", "", media || "")), element("p", "quiet", typeOf(doc, schema)));
      const table = fields(doc, schema, []);
      if (table) parts.push(table);
    }
    const signed = (op.parameters || []).some((p) => p.name === "Souk-Read" && p.in === "header");
    const streams = Object.keys((op.responses && op.responses[200] && op.responses[200].content) || {}).includes("text/event-stream");
    if (method === "get" && !signed && !streams) parts.push(element("h2", "", "Try it"), trial(path, op));
    return parts;
  });
  d.dataset.text = [path, method, op.operationId, op.summary].join(" ").toLowerCase();
  return d;
}

async function show() {
  const main = document.getElementById("main");
  try {
    const doc = await (await fetch("openapi.json")).json();
    const search = element("input", "filter");
    search.placeholder = "Filter";
    search.setAttribute("aria-label", "Filter");
    const all = Object.entries(doc.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, op]) => operation(doc, path, method, op)));
    search.addEventListener("input", () => {
      for (const d of all) d.hidden = !d.dataset.text.includes(search.value.toLowerCase());
    });
    main.append(element("h1", "", doc.info.title + " API " + doc.info.version), element("p", "", doc.info.description || ""), search, ...all);
  } catch (error) {
    main.append(element("p", "", "The document could not be read: " + error));
  }
}

show();
