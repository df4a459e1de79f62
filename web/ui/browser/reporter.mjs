// Tells the Go side of each step, a line of JSON each.
export default async function* reporter(source) {
  for await (const event of source) {
    const { type, data } = event;
    if (type === "test:stderr" || type === "test:stdout" || type === "test:diagnostic") {
      if (type !== "test:diagnostic") yield data.message;
      continue;
    }
    if ((type !== "test:pass" && type !== "test:fail") || data.details?.type === "suite") continue;
    const cause = data.details?.error?.cause ?? data.details?.error;
    const skipped = data.skip !== undefined;
    yield `${JSON.stringify({
      name: data.name,
      ok: type === "test:pass",
      skipped,
      ms: data.details?.duration_ms ?? 0,
      error: skipped ? String(data.skip) : type === "test:fail" ? String(cause?.stack ?? cause) : "",
    })}\n`;
  }
}
