// All steps: those that may go on side by side, then the one that ends a server.
import { after, before, describe } from "node:test";
import { close, launch } from "./lib.mjs";
import { failover } from "./failover.mjs";
import { hostile } from "./hostile.mjs";
import { look } from "./look.mjs";
import { money } from "./money.mjs";
import { trade } from "./trade.mjs";

describe("page", { concurrency: 1 }, () => {
  before(() => launch());
  after(close);
  describe("side by side", { concurrency: 4 }, () => {
    money();
    trade();
    hostile();
    look();
  });
  describe("alone", failover);
});
