/** Draws the sums of both sides on a canvas: steps, as they are. Numbers are the picture's only. */
import type { Level } from "./book.ts";
import { curve, type Point } from "./depth.ts";
import type { Terms } from "./terms.ts";

/** What part of the prices is seen. */
export interface Window {
  low: number;
  high: number;
}

/** The prices around the middle that hold most of what is near: a few percent, more where the book is thin. */
export function windowOf(bids: readonly Level[], asks: readonly Level[], reference: bigint, terms: Terms): Window {
  const unit = 10 ** terms.quoteDecimals;
  const best = [bids[0]?.price, asks[0]?.price].filter((p) => p !== undefined).map((p) => Number(p) / unit);
  const middle = best.length > 0 ? best.reduce((a, b) => a + b) / best.length : Number(reference) / unit;
  // As far as the farther of both sides' nearest fifty levels, but not beyond half of the price.
  const ends = [bids[Math.min(50, bids.length) - 1], asks[Math.min(50, asks.length) - 1]].filter((l) => l !== undefined);
  const reach = Math.max(middle * 0.002, ...ends.map((l) => Math.abs(Number(l.price) / unit - middle)));
  const away = Math.min(reach * 1.05, middle * 0.5);
  return { low: middle - away, high: middle + away };
}

export interface Scene {
  bids: readonly Level[];
  asks: readonly Level[];
  terms: Terms;
  window: Window;
  /** The price that is pointed at. */
  at: number | undefined;
}

/** Draws a scene on a canvas of so many CSS pixels. */
export function drawDepth(canvas: HTMLCanvasElement, width: number, height: number, scene: Scene): void {
  const ratio = window.devicePixelRatio || 1;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  const g = canvas.getContext("2d");
  if (!g) return;
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  g.clearRect(0, 0, width, height);

  const { low, high } = scene.window;
  const bids = curve(scene.bids, scene.terms, low, high);
  const asks = curve(scene.asks, scene.terms, low, high);
  const top = Math.max(bids.at(-1)?.sum ?? 0, asks.at(-1)?.sum ?? 0) * 1.08 || 1;
  const foot = height - 18;
  const x = (price: number) => ((price - low) / (high - low)) * width;
  const y = (sum: number) => foot - (sum / top) * (foot - 6);
  const style = getComputedStyle(canvas);
  const colour = (name: string) => style.getPropertyValue(name).trim();

  const side = (points: Point[], end: number, line: string, fill: string) => {
    const first = points[0];
    if (!first) return;
    g.beginPath();
    g.moveTo(x(first.price), foot);
    let sum = 0;
    for (const p of points) {
      g.lineTo(x(p.price), y(sum));
      g.lineTo(x(p.price), y(p.sum));
      sum = p.sum;
    }
    g.lineTo(x(end), y(sum));
    g.strokeStyle = line;
    g.lineWidth = 1.5;
    g.stroke();
    g.lineTo(x(end), foot);
    g.closePath();
    g.fillStyle = fill;
    g.fill();
  };
  side(bids, low, colour("--buy"), colour("--buy-bar"));
  side(asks, high, colour("--sell"), colour("--sell-bar"));

  g.fillStyle = colour("--faint");
  g.font = `11px ${style.fontFamily}`;
  g.textBaseline = "bottom";
  for (const [share, align] of [[0, "left"], [0.25, "center"], [0.5, "center"], [0.75, "center"], [1, "right"]] as const) {
    g.textAlign = align;
    const price = low + (high - low) * share;
    g.fillText(price.toPrecision(6).replace(/\.?0+$/, ""), Math.min(width - 4, Math.max(4, x(price))), height - 2);
  }
  g.textAlign = "left";
  g.textBaseline = "top";
  g.fillText(String(Number(top.toPrecision(3))), 6, 4);

  if (scene.at === undefined) return;
  g.strokeStyle = colour("--faint");
  g.lineWidth = 1;
  g.setLineDash([4, 3]);
  g.beginPath();
  g.moveTo(Math.round(x(scene.at)) + 0.5, 0);
  g.lineTo(Math.round(x(scene.at)) + 0.5, foot);
  g.stroke();
  g.setLineDash([]);
}
