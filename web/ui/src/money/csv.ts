/** Tables for spreadsheets: RFC 4180, and no cell that a spreadsheet would run. */

/** A cell: text as it is, or a number that is known to be one. */
export type Cell = string | bigint | number;

/** A plain decimal number, which no spreadsheet takes for a formula. */
const decimal = /^-?\d+(\.\d+)?$/;

/**
 * What begins a formula in one of the common spreadsheets. The last ones are full-width
 * forms, which some take for the others.
 */
const formula = /^[\s\u00a0\ufeff]*[=+\-@\t\r\n|%\uff1d\uff0b\uff0d\uff20]/;

/** One cell. Text that would be a formula gets an apostrophe in front, which spreadsheets show as text. */
export function cell(value: Cell): string {
  const plain = String(value);
  // Whatever is between, a null byte would end the cell for some readers.
  const clean = plain.replace(/\0/g, "");
  const safe = !decimal.test(clean) && formula.test(clean) ? `'${clean}` : clean;
  return /[",\r\n]/.test(safe) || /^\s|\s$/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
}

/** Rows as a file: lines end in CRLF, the last one too. */
export function csv(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  return [head, ...rows].map((row) => row.map(cell).join(",") + "\r\n").join("");
}

/** A time in ms as ISO 8601 in UTC, which spreadsheets read and sort. */
export function stamp(ms: number | undefined): string {
  return ms === undefined || !Number.isFinite(ms) ? "" : new Date(ms).toISOString();
}

/** Gives the user a file. The text is offered as bytes of a blob, so nothing of it is ever parsed by the page. */
export function save(name: string, content: string): void {
  // The mark at the beginning tells spreadsheets that it is UTF-8.
  const blob = new Blob(["\ufeff", content], { type: "text/csv;charset=utf-8" });
  const url = URL.createObjectURL(blob);
  const a = document.createElement("a");
  a.href = url;
  a.download = name;
  a.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
