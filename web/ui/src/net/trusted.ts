/**
 * Trusted Types: the page's policy lets scripts be started only from addresses that went through
 * here, and only from the page's own server.
 */
interface Policy {
  createScriptURL(url: string): unknown;
}
interface Factory {
  createPolicy(name: string, rules: { createScriptURL(url: string): string }): Policy;
}

let policy: Policy | undefined;

/** The address of a script of this page, as Worker and register want it. Throws for any other address. */
export function scriptURL(url: string): string {
  own(url);
  const factory = (globalThis as { trustedTypes?: Factory }).trustedTypes;
  if (!factory) return url;
  policy ??= factory.createPolicy("souk-worker", { createScriptURL: own });
  // A TrustedScriptURL stands where TypeScript knows texts only.
  return policy.createScriptURL(url) as string;
}

function own(url: string): string {
  const full = new URL(url, location.href);
  const path = full.pathname;
  if (full.origin !== location.origin || (path !== "/sw.js" && !path.startsWith("/assets/worker-") && !dev(path))) {
    throw new TypeError("that is no script of this page");
  }
  return url;
}

function dev(path: string): boolean {
  return import.meta.env.DEV && path.startsWith("/src/");
}
