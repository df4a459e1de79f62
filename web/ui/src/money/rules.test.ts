import { describe, expect, test } from "vitest";
import { BadRules, changeRules, looser, noRules, rulesAt, sameRules, undoRules, type Rules } from "./rules.ts";

const out = (n: number) => ({ bank: 1, output: Uint8Array.of(0, 20, ...new Array<number>(20).fill(n)) });
const hour = 3_600_000;
const rules = (some: Partial<Rules>): Rules => ({ ...noRules, ...some });

describe("Y-62: settings of withdrawals", () => {
  test("a stricter change is one command, in force at once", () => {
    const c = changeRules({ now: noRules }, rules({ delay: hour }));
    expect(c.sign).toEqual([rules({ delay: hour })]);
    expect(looser(noRules, c.sign[0] as Rules)).toBe(false);
  });

  test("a looser change is one command; while one is to come, its stricter part is signed by itself before", () => {
    const now = rules({ delay: hour });
    const wish = rules({ delay: 2 * hour, allowed: [out(7)] });
    expect(changeRules({ now }, wish).sign).toEqual([wish]);
    const next = { rules: rules({ delay: hour, allowed: [out(7)] }), from: 5000 };
    expect(changeRules({ now, next }, wish).sign).toEqual([rules({ delay: 2 * hour }), wish]);
  });

  test("only-list with a first address: nobody is locked out before the address is allowed", () => {
    const c = changeRules({ now: noRules }, rules({ only: true, allowed: [out(7)] }));
    expect(c.sign).toEqual([rules({ only: true, allowed: [out(7)] })]);
  });

  test("taking an address off keeps the others and is at once", () => {
    const now = rules({ only: true, allowed: [out(1), out(2)] });
    expect(changeRules({ now }, rules({ only: true, allowed: [out(2)] })).sign).toEqual([rules({ only: true, allowed: [out(2)] })]);
  });

  test("a change that is to come is replaced, and can be taken back", () => {
    const record = { now: rules({ delay: hour }), next: { rules: noRules, from: 5000 } };
    expect(changeRules(record, rules({ delay: 2 * hour }))).toEqual({ sign: [rules({ delay: 2 * hour })], replaces: true });
    expect(undoRules(record)).toEqual({ sign: [record.now], replaces: true });
    expect(() => changeRules(record, noRules)).toThrow(BadRules);
    expect(rulesAt(record, 4999)).toBe(record);
    expect(rulesAt(record, 5000)).toEqual({ now: noRules });
  });

  test("outputs are signed in order, none twice", () => {
    const c = changeRules({ now: noRules }, rules({ allowed: [out(9), out(1), out(9), { ...out(1), bank: 0 }] }));
    expect(c.sign[0]?.allowed).toEqual([{ ...out(1), bank: 0 }, out(1), out(9)]);
    expect(sameRules(rules({ allowed: [out(9), out(1)] }), rules({ allowed: [out(1), out(9)] }))).toBe(true);
  });

  test("what cannot be is refused", () => {
    const many = Array.from({ length: 17 }, (_, i) => out(i));
    for (const bad of [rules({ only: true }), rules({ allowed: many }), rules({ delay: 31 * 24 * hour }), rules({ delay: -1 }), noRules]) {
      expect(() => changeRules({ now: noRules }, bad)).toThrow(BadRules);
    }
  });
});
