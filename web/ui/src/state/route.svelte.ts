/** Which view is shown: the fragment of the address, so that links work and no server is asked. */

export const views = ["trade", "money", "network", "settings", "start"] as const;
export type View = (typeof views)[number];

/** #/trade/BTC-EUR is the view trade with the rest ["BTC-EUR"]. */
export interface Route {
  view: View;
  rest: string[];
}

/** Reads a fragment. What it does not know is the trade view. */
export function parseRoute(fragment: string): Route {
  const parts = fragment.replace(/^#?\/?/, "").split("/").filter((p) => p !== "").map(decode);
  const view = views.find((v) => v === parts[0]);
  return view ? { view, rest: parts.slice(1, 5) } : { view: "trade", rest: [] };
}

/** The fragment of a view, for links. */
export function href(view: View, ...rest: string[]): string {
  return `#/${[view, ...rest.map(encodeURIComponent)].join("/")}`;
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part).slice(0, 64);
  } catch {
    return "";
  }
}

class Router {
  current = $state.raw<Route>({ view: "trade", rest: [] });

  /** Follows the address bar. Answers what stops it. */
  start(): () => void {
    const read = () => {
      this.current = parseRoute(location.hash);
    };
    read();
    addEventListener("hashchange", read);
    return () => removeEventListener("hashchange", read);
  }

  /** Shows a view. */
  go(view: View, ...rest: string[]): void {
    const to = href(view, ...rest);
    if (location.hash !== to) location.hash = to;
    else this.current = parseRoute(to);
  }

  /** The same, without a step back to where we were. */
  replace(view: View, ...rest: string[]): void {
    history.replaceState(null, "", href(view, ...rest));
    this.current = parseRoute(location.hash);
  }
}

export const route = new Router();
