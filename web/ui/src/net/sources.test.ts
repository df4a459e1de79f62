import { expect, test } from "vitest";
import { sourcesOf } from "./sources.ts";

const founders = [{ url: "https://alice.example/souk", name: "Alice" }, { url: "https://bob.example", name: "Bob" }];

test("one server behind two paths is one source", () => {
  const told = ["https://evil.example/1", "https://evil.example/2", "https://bob.example", "https://alice.example/souk"];
  expect(sourcesOf(told, founders)).toEqual([
    { url: "https://evil.example/1", name: "evil.example/1", founder: false },
    { url: "https://bob.example", name: "Bob", founder: true },
    { url: "https://alice.example/souk", name: "Alice", founder: true },
  ]);
});

test("nobody stands in a founder's place, and what is no URL is nobody", () => {
  expect(sourcesOf(["https://bob.example:8443", "nonsense"], founders)).toEqual([
    { url: "https://bob.example:8443", name: "bob.example:8443", founder: false },
  ]);
});
