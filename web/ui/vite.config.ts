import { svelte } from "@sveltejs/vite-plugin-svelte";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";
import { shell } from "./vite.shell.ts";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

// The page is built into dist, which is committed and embedded in the binary; a test compares
// it with what its sources build. So nothing in here may depend on the time or the machine.
export default defineConfig({
  base: "/",
  publicDir: "public",
  plugins: [svelte(), shell()],
  // The client of the API lies outside of this folder, where its own import would not be found.
  resolve: { alias: { "souk-api": here("../../api/ts/index.ts"), "openapi-fetch": here("node_modules/openapi-fetch") } },
  build: {
    target: "es2022",
    outDir: "dist",
    emptyOutDir: true,
    // Scripts and styles come as files only: the page's policy allows no inline ones.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
    chunkSizeWarningLimit: 300,
    rolldownOptions: {
      input: { index: here("index.html"), sw: here("src/sw.ts") },
      // A service worker's address stays the same; so the browser sees that there is a newer one.
      output: { entryFileNames: (chunk: { name: string }) => (chunk.name === "sw" ? "sw.js" : "assets/[name]-[hash].js") },
    },
  },
  // Workers have a policy of their own response, so servers tell them by their names.
  worker: { format: "es", rolldownOptions: { output: { entryFileNames: "assets/worker-[name]-[hash].js" } } },
  test: { include: ["src/**/*.test.ts"], environment: "node", testTimeout: 20_000 },
} as Parameters<typeof defineConfig>[0]);
