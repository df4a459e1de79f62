/**
 * Numbers that make commands of a key unique (B-5). All tabs of the browser draw from one row,
 * and a row begins some numbers above the highest used one, so that programs with the same key seldom meet.
 */
const place = "souk.nonce";
const maxGap = 64;

interface Row {
  key: string;
  next: string;
}

export class Nonces {
  #known = false;
  readonly #top: () => Promise<bigint>;

  /** Takes how the highest used nonce is learnt. */
  constructor(top: () => Promise<bigint>) {
    this.#top = top;
  }

  /** The next nonce of a key. */
  async next(key: string): Promise<bigint> {
    const take = async () => {
      const kept = read();
      let next = kept && kept.key === key ? BigInt(kept.next) : 0n;
      if (!this.#known || next === 0n) {
        const top = await this.#top();
        // The row of another tab may be ahead; but far ahead it is of another time or exchange.
        if (next <= top || next > top + 1024n) next = top + 1n + BigInt(Math.floor(Math.random() * maxGap));
        this.#known = true;
      }
      keep({ key, next: String(next + 1n) });
      return next;
    };
    const locks = typeof navigator === "undefined" ? undefined : navigator.locks;
    return locks ? await locks.request("souk-nonce", take) : take();
  }

  /** A server says that our row is not where we think. */
  forget(): void {
    this.#known = false;
  }
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
    return value && typeof value.key === "string" && /^[0-9]{1,19}$/.test(value.next ?? "") ? (value as Row) : undefined;
  } catch {
    return undefined;
  }
}
