/**
 * What the build adds to what vite makes: the service worker learns which files there are, and
 * page.txt lists them all with their hashes, as sha256sum does, so that anybody can compare the
 * page of one server with that of another, or with the sources.
 */
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Plugin } from "vite";

/** What is large and not for everybody: the service worker keeps it when it was used. */
const seldom = /^assets\/office-/;

export function shell(): Plugin {
  return {
    name: "souk-shell",
    apply: "build",
    writeBundle({ dir }) {
      if (!dir) throw new Error("the page is built into a folder");
      const files = list(dir).filter((f) => f !== "sw.js" && f !== "page.txt");
      const lines = files.map((f) => `${hash(readFileSync(join(dir, f)))}  ${f}\n`);
      const kept = files.filter((f) => f !== "index.html" && !seldom.test(f)).map((f) => `/${f}`);
      const worker = readFileSync(join(dir, "sw.js"), "utf8")
        .replaceAll("__SHELL__", JSON.stringify(kept))
        .replaceAll("__VERSION__", JSON.stringify(hash(Buffer.from(lines.join(""))).slice(0, 16)));
      writeFileSync(join(dir, "sw.js"), worker);
      lines.push(`${hash(Buffer.from(worker))}  sw.js\n`);
      writeFileSync(join(dir, "page.txt"), lines.join(""));
    },
  };
}

function hash(data: Buffer): string {
  return createHash("sha256").update(data).digest("hex");
}

/** All files below a folder, by name. */
function list(folder: string, below = ""): string[] {
  return readdirSync(join(folder, below), { withFileTypes: true })
    .flatMap((e) => (e.isDirectory() ? list(folder, `${below}${e.name}/`) : [below + e.name]))
    .sort();
}
