import { describe, expect, test } from "vitest";
import { formatUnits } from "../souk/amount.ts";
import { Book } from "./book.ts";
import { random, terms } from "./testing.ts";

const t = terms();
const level = (price: string, quantity: string) => ({ price, quantity, orders: 1 });
const snapshot = {
  height: 7,
  bids: [level("49900.00", "1.00000000"), level("49800.00", "2.00000000")],
  asks: [level("50100.00", "1.00000000"), level("50200.00", "5.00000000")],
};
const shown = (book: Book) => ({
  bids: book.bids.map((l) => `${formatUnits(l.quantity, 8, { trim: true })} @ ${formatUnits(l.price, 2, { trim: true })}`),
  asks: book.asks.map((l) => `${formatUnits(l.quantity, 8, { trim: true })} @ ${formatUnits(l.price, 2, { trim: true })}`),
});

describe("book (H-116)", () => {
  test("a change sets the price to its new quantity, zero takes it away", () => {
    const book = new Book(t);
    book.load(snapshot);
    const change = { bids: [{ price: "49900.00", quantity: "0.00000000" }, { price: "50000.00", quantity: "0.10000000" }], asks: [{ price: "50150.00", quantity: "3.00000000" }] };
    expect(book.apply(8, change)).toBe("applied");
    expect(shown(book)).toEqual({ bids: ["0.1 @ 50000", "2 @ 49800"], asks: ["1 @ 50100", "3 @ 50150", "5 @ 50200"] });
    expect(book.height).toBe(8);
  });

  test("blocks that the snapshot has are let go by", () => {
    const book = new Book(t);
    book.load(snapshot);
    expect(book.apply(7, { bids: [{ price: "49900.00", quantity: "9.00000000" }] })).toBe("old");
    expect(shown(book).bids[0]).toBe("1 @ 49900");
  });

  test("a price that nobody was at may be taken away again", () => {
    const book = new Book(t);
    book.load(snapshot);
    expect(book.apply(8, { asks: [{ price: "50300.00", quantity: "0.00000000" }] })).toBe("applied");
    expect(book.asks.length).toBe(2);
  });

  test("a gap that leaves the best buy above the best sell asks for a new snapshot", () => {
    const book = new Book(t);
    book.load(snapshot);
    expect(book.apply(12, { bids: [{ price: "50100.00", quantity: "1.00000000" }] })).toBe("broken");
    book.load({ ...snapshot, height: 12, asks: snapshot.asks.slice(1) });
    expect(book.apply(13, { bids: [{ price: "50100.00", quantity: "1.00000000" }] })).toBe("applied");
  });

  test("without a snapshot, and of what is no number, nothing is believed", () => {
    expect(new Book(t).apply(1, {})).toBe("broken");
    const book = new Book(t);
    book.load(snapshot);
    expect(book.apply(8, { bids: [{ price: "49900.001", quantity: "1.00000000" }] })).toBe("broken");
    expect(() => new Book(t).load({ ...snapshot, bids: [...snapshot.bids].reverse() })).toThrow(RangeError);
    expect(() => new Book(t).load({ ...snapshot, bids: [level("50100.00", "1.00000000")] })).toThrow(RangeError);
  });

  test("beyond the last level of a cut snapshot nothing is known, and it is read anew in time", () => {
    const asks = Array.from({ length: 150 }, (_, i) => level(`${50_100 + i}.00`, "1.00000000"));
    const book = new Book(t);
    book.load({ height: 1, bids: [], asks }, 150);
    expect(book.scarce).toBe(false);
    expect(book.apply(2, { asks: [{ price: "50400.00", quantity: "1.00000000" }] })).toBe("applied");
    expect(book.asks.length).toBe(150);
    book.apply(3, { asks: asks.slice(0, 60).map((l) => ({ price: l.price, quantity: "0.00000000" })) });
    expect(book.scarce).toBe(true);
    // A whole book is never scarce, however small it is.
    const whole = new Book(t);
    whole.load(snapshot);
    expect(whole.scarce).toBe(false);
  });

  test("kept from changes it is what a snapshot of the same block says", () => {
    const below = random(5);
    const model = { bids: new Map<number, number>(), asks: new Map<number, number>() };
    const book = new Book(t);
    book.load({ height: 0, bids: [], asks: [] });
    const texts = (side: Map<number, number>, down: boolean) =>
      [...side].sort((a, b) => (down ? b[0] - a[0] : a[0] - b[0])).map(([p, q]) => level(`${p}.00`, `${q}.00000000`));
    for (let height = 1; height <= 400; height++) {
      const change = { bids: [] as { price: string; quantity: string }[], asks: [] as { price: string; quantity: string }[] };
      for (let i = below(6); i >= 0; i--) {
        const bid = below(2) === 0;
        const price = bid ? 49_900 + below(100) : 50_000 + below(100);
        const quantity = below(4);
        const side = bid ? model.bids : model.asks;
        if (quantity === 0) side.delete(price);
        else side.set(price, quantity);
        const list = bid ? change.bids : change.asks;
        const had = list.findIndex((l) => l.price === `${price}.00`);
        if (had >= 0) list.splice(had, 1);
        list.push({ price: `${price}.00`, quantity: `${quantity}.00000000` });
      }
      expect(book.apply(height, change)).toBe("applied");
      const fresh = new Book(t);
      fresh.load({ height, bids: texts(model.bids, true), asks: texts(model.asks, false) });
      expect(shown(book)).toEqual(shown(fresh));
    }
  });
});
