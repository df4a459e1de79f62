/**
 * Redraws at most so often, in step with the screen: however many changes come in, the next
 * frame after the pause shows the newest state. Nothing is queued, so nothing can grow.
 */
export interface Clock {
  now(): number;
  frame(callback: () => void): number;
  cancelFrame(id: number): void;
  later(callback: () => void, ms: number): number;
  cancelLater(id: number): void;
}

const page: Clock = {
  now: () => performance.now(),
  // A hidden page has no frames, and needs none: the next one comes when it is seen again.
  frame: (callback) => requestAnimationFrame(callback),
  cancelFrame: (id) => cancelAnimationFrame(id),
  later: (callback, ms) => setTimeout(callback, ms) as unknown as number,
  cancelLater: (id) => clearTimeout(id),
};

/** Ten a second is as fast as people read numbers. */
export const redrawEvery = 100;

export class Frames {
  #frame: number | undefined;
  #timer: number | undefined;
  #last = -Infinity;

  constructor(
    private readonly draw: () => void,
    private readonly every = redrawEvery,
    private readonly clock: Clock = page,
  ) {}

  /** Asks for a redraw. */
  ask(): void {
    if (this.#frame !== undefined || this.#timer !== undefined) return;
    const wait = this.#last + this.every - this.clock.now();
    if (wait <= 0) {
      this.#request();
      return;
    }
    this.#timer = this.clock.later(() => {
      this.#timer = undefined;
      this.#request();
    }, wait);
  }

  /** Forgets what was asked for. */
  stop(): void {
    if (this.#frame !== undefined) this.clock.cancelFrame(this.#frame);
    if (this.#timer !== undefined) this.clock.cancelLater(this.#timer);
    this.#frame = undefined;
    this.#timer = undefined;
  }

  #request(): void {
    this.#frame = this.clock.frame(() => {
      this.#frame = undefined;
      this.#last = this.clock.now();
      this.draw();
    });
  }
}
