/**
 * Numbers that make commands of a key unique (B-5). All tabs of the browser draw from one row,
 * and a row begins some numbers above the highest used one, so that programs with the same key seldom meet.
 */
const place = "souk.nonce";
const maxGap = 64;
const mostOpen = 64;
const number = /^[0-9]{1,19}$/;

interface Row {
  key: string;
  next: string;
  /** Nonces of commands that servers say were refused, which nobody has proven: until then they may still be executed. */
  open?: { nonce: string; until: number }[];
}

export class Nonces {
  #known = false;
  readonly #top: () => Promise<bigint>;

  /** Takes how the highest used nonce is learnt. */
  constructor(top: () => Promise<bigint>) {
    this.#top = top;
  }

  /**
   * The next nonce of a key. One that stands open comes first: of two commands with one nonce only one is ever
   * executed (B-5), so a server that says that it refused the first cannot have both executed.
   */
  next(key: string): Promise<bigint> {
    return alone(async () => {
      const kept = read();
      const open = (kept?.key === key && kept.open ? kept.open : []).filter((o) => o.until > Date.now());
      const again = open.shift();
      if (kept && again) {
        keep({ ...kept, open });
        return BigInt(again.nonce);
      }
      let next = kept && kept.key === key ? BigInt(kept.next) : 0n;
      if (!this.#known || next === 0n) {
        const top = await this.#top();
        // The row of another tab may be ahead; but far ahead it is of another time or exchange.
        if (next <= top || next > top + 1024n) next = top + 1n + BigInt(Math.floor(Math.random() * maxGap));
        this.#known = true;
      }
      keep({ key, next: String(next + 1n) });
      return next;
    });
  }

  /** The fate of a command with this nonce is not proven: the next one takes the same, until then (ms). */
  open(key: string, nonce: bigint, until: number): Promise<void> {
    return alone(() => {
      const kept = read();
      if (kept?.key === key) keep({ ...kept, open: [...(kept.open ?? []), { nonce: String(nonce), until }].slice(-mostOpen) });
      return Promise.resolve();
    });
  }

  /** A server says that our row is not where we think. */
  forget(): void {
    this.#known = false;
  }
}

/** One tab at a time. */
async function alone<T>(work: () => Promise<T>): Promise<T> {
  const locks = typeof navigator === "undefined" ? undefined : navigator.locks;
  return locks ? await locks.request("souk-nonce", work) : work();
}

function keep(row: Row): void {
  try {
    localStorage.setItem(place, JSON.stringify(row));
  } catch {
    // Then the highest nonce is asked for every time, as read finds nothing.
  }
}

function read(): Row | undefined {
  try {
    const value = JSON.parse(localStorage.getItem(place) ?? "null") as Partial<Row> | null;
    if (!value || typeof value.key !== "string" || !number.test(value.next ?? "")) return undefined;
    const open = Array.isArray(value.open) ? value.open.filter((o) => number.test(o.nonce) && Number.isSafeInteger(o.until)) : [];
    return { key: value.key, next: value.next ?? "", open };
  } catch {
    return undefined;
  }
}
