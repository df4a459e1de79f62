/** What servers say of banks, assets and prices, for looking at: what is signed goes by what is proven. */
import type { Schemas } from "souk-api";
import { connection } from "../net/connection.ts";
import { readAmount, readCount, readList, readText } from "./read.ts";
import { ratesOf, type Rate } from "./value.ts";

/** A bank as servers say. */
export interface SaidBank {
  bank: number;
  asset: number;
  symbol: string;
  network: string;
  series: number;
  threshold: number;
  keys: number;
  /** Units per 1,000 virtual bytes; 0: too few members know one. */
  rate: bigint;
  tip: number;
  waiting: number;
  hourUsed: bigint;
  maxPerHour: bigint;
}

export interface SaidAsset {
  asset: number;
  symbol: string;
  decimals: number;
}

function readBank(v: Schemas["Bank"]): SaidBank {
  return {
    bank: readCount(v.id, "bank"), asset: readCount(v.asset, "bank"), symbol: readText(v.symbol, "bank", 16), network: readText(v.network, "bank", 32),
    series: readCount(v.series, "bank"), threshold: readCount(v.threshold, "bank"), keys: readCount(v.keys, "bank"), rate: BigInt(readCount(v.rate, "bank")),
    tip: readCount(v.tip.height, "bank"), waiting: readCount(v.waiting, "bank"), hourUsed: readAmount(v.hour_used, "bank").units,
    maxPerHour: readAmount(v.limits.max_per_hour, "bank").units,
  };
}

function readAsset(v: Schemas["Asset"]): SaidAsset {
  return { asset: readCount(v.id, "asset"), symbol: readText(v.symbol, "asset", 16), decimals: readCount(v.decimals, "asset") };
}

export interface SaidMarket {
  market: number;
  symbol: string;
}

const lookEvery = 5_000;
/** Assets are only ever added. */
const assetsEvery = 60_000;

export type HaltReason = "reorganisation" | "theft" | "vote" | "books";
const haltReasons: readonly HaltReason[] = ["reorganisation", "theft", "vote", "books"];

class World {
  /** Banks and assets were read at least once. */
  ready = $state(false);
  problem = $state("");
  banks = $state.raw<SaidBank[]>([]);
  assets = $state.raw<SaidAsset[]>([]);
  markets = $state.raw<SaidMarket[]>([]);
  rates = $state.raw<Rate[]>([]);
  halt = $state.raw<{ reason: HaltReason | undefined; only: string[] | undefined } | undefined>(undefined);
  #assetsAt = 0;

  /** Reads them, and again as long as somebody looks. Answers what ends that. */
  watch(): () => void {
    void this.look();
    const tick = setInterval(() => {
      if (!document.hidden) void this.look();
    }, lookEvery);
    return () => clearInterval(tick);
  }

  bankOf(symbol: string): SaidBank | undefined {
    return this.banks.find((b) => b.symbol === symbol);
  }

  assetOf(symbol: string): SaidAsset | undefined {
    return this.assets.find((a) => a.symbol === symbol);
  }

  symbolOf(asset: number): string | undefined {
    return this.assets.find((a) => a.asset === asset)?.symbol;
  }

  /** Whether the bank of an asset is halted, as servers say. */
  halted(symbol: string): boolean {
    return this.halt !== undefined && (this.halt.only === undefined || this.halt.only.includes(symbol));
  }

  async look(): Promise<void> {
    try {
      const [banks, tickers] = await Promise.all([connection.api.GET("/v1/banks"), connection.api.GET("/v1/ticker")]);
      if (!this.ready || Date.now() - this.#assetsAt > assetsEvery) await this.#readAssets();
      if (banks.data) {
        this.banks = readList(banks.data.banks, "bank", readBank);
        const said = banks.data.halt;
        this.halt = said && { reason: haltReasons.find((r) => r === said.reason), only: said.only?.filter((s) => typeof s === "string") };
      }
      // A server that is still reading old trades has no prices yet; another look will find them.
      if (tickers.data) this.rates = ratesOf(readList(tickers.data.tickers, "ticker", (t: Schemas["Ticker"]) => t));
      this.ready = true;
      this.problem = "";
    } catch (error) {
      this.problem = error instanceof Error ? error.message : String(error);
    }
  }

  async #readAssets(): Promise<void> {
    const all: SaidAsset[] = [];
    for (let after = 0; ; ) {
      const { data } = await connection.api.GET("/v1/assets", { params: { query: after ? { after } : {} } });
      if (!data) return;
      all.push(...readList(data.assets, "asset", readAsset));
      if (data.next === undefined || data.next <= after) break;
      after = data.next;
    }
    this.assets = all;
    this.#assetsAt = Date.now();
    const { data } = await connection.api.GET("/v1/markets");
    if (data) {
      this.markets = readList(data.markets, "market", (m: Schemas["Market"]) => ({ market: readCount(m.id, "market"), symbol: readText(m.symbol, "market", 24) }));
    }
  }
}

export const world = new World();
