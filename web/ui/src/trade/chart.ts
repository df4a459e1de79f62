/**
 * The candles' picture, drawn by lightweight-charts, which is loaded when it is shown. Its logo
 * is left out, for that comes with a <style> and with markup of its own, which the page's policy
 * refuses; the notice and the link that its licence asks for stand below the chart instead.
 */
import type { CandlestickData, HistogramData, IChartApi, MouseEventParams, Time, UTCTimestamp } from "lightweight-charts";
import type { Bar } from "./candles.ts";

export interface Picture {
  show(bars: readonly Bar[], fit: boolean): void;
  update(bar: Bar): void;
  /** Colours and decimals anew. */
  dress(): void;
  remove(): void;
}

export interface Options {
  box: HTMLElement;
  /** Decimals of prices, and the smallest step of them. */
  decimals: number;
  step: number;
  /** The bar under the pointer; undefined: the last one. */
  onhover(bar: Bar | undefined): void;
  /** The oldest bars are in sight. */
  onedge(): void;
}

/** The colours of the page's theme. */
function colours(): Record<"ink" | "line" | "buy" | "sell" | "buyBar" | "sellBar" | "panel" | "raised", string> {
  const style = getComputedStyle(document.documentElement);
  const of = (name: string) => style.getPropertyValue(name).trim();
  return {
    ink: of("--faint"), line: of("--line"), buy: of("--buy"), sell: of("--sell"), buyBar: of("--buy-bar"), sellBar: of("--sell-bar"),
    panel: of("--panel"), raised: of("--raised"),
  };
}

/** How many bars from the left edge older ones are asked for. */
const edge = 10;

export async function draw(o: Options): Promise<Picture> {
  const lib = await import("lightweight-charts");
  const chart: IChartApi = lib.createChart(o.box, {
    autoSize: true,
    layout: { attributionLogo: false, fontSize: 11, fontFamily: getComputedStyle(document.body).fontFamily },
    timeScale: { timeVisible: true, secondsVisible: false, rightOffset: 6, minBarSpacing: 2 },
    crosshair: { mode: lib.CrosshairMode.Normal },
    handleScale: { axisPressedMouseMove: { time: true, price: true } },
  });
  const candles = chart.addSeries(lib.CandlestickSeries, { priceFormat: { type: "price", precision: o.decimals, minMove: o.step } });
  const volume = chart.addSeries(lib.HistogramSeries, { priceScaleId: "volume", priceFormat: { type: "volume" }, lastValueVisible: false, priceLineVisible: false });
  chart.priceScale("volume").applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
  chart.priceScale("right").applyOptions({ scaleMargins: { top: 0.06, bottom: 0.22 } });
  let c = colours();
  let all: readonly Bar[] = [];

  const time = (bar: Bar) => (bar.start / 1000) as UTCTimestamp;
  const candle = (bar: Bar): CandlestickData<Time> => ({ time: time(bar), open: bar.open, high: bar.high, low: bar.low, close: bar.close });
  const column = (bar: Bar): HistogramData<Time> => ({ time: time(bar), value: bar.volume, color: bar.close >= bar.open ? c.buyBar : c.sellBar });

  function hover(event: MouseEventParams<Time>): void {
    const at = typeof event.time === "number" ? event.time * 1000 : undefined;
    o.onhover(at === undefined ? undefined : all.find((b) => b.start === at));
  }
  function range(): void {
    const shown = chart.timeScale().getVisibleLogicalRange();
    if (shown && shown.from < edge) o.onedge();
  }
  chart.subscribeCrosshairMove(hover);
  chart.timeScale().subscribeVisibleLogicalRangeChange(range);

  function dress(): void {
    c = colours();
    chart.applyOptions({
      layout: { background: { color: c.panel }, textColor: c.ink },
      grid: { vertLines: { color: c.raised }, horzLines: { color: c.raised } },
      crosshair: { vertLine: { color: c.ink, labelBackgroundColor: c.raised }, horzLine: { color: c.ink, labelBackgroundColor: c.raised } },
      rightPriceScale: { borderColor: c.line },
      timeScale: { borderColor: c.line },
    });
    candles.applyOptions({ upColor: c.buy, downColor: c.sell, wickUpColor: c.buy, wickDownColor: c.sell, borderVisible: false });
    if (all.length > 0) volume.setData(all.map(column));
  }
  dress();

  return {
    show(bars, fit) {
      all = bars;
      candles.setData(bars.map(candle));
      volume.setData(bars.map(column));
      if (!fit) return;
      // The newest hundred or so; the rest is a scroll away.
      chart.timeScale().setVisibleLogicalRange({ from: bars.length - 110, to: bars.length + 5 });
    },
    update(bar) {
      candles.update(candle(bar));
      volume.update(column(bar));
    },
    dress,
    remove() {
      chart.unsubscribeCrosshairMove(hover);
      chart.timeScale().unsubscribeVisibleLogicalRangeChange(range);
      chart.remove();
    },
  };
}
