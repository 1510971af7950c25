import type { Clock } from "@squall/core/clock";

/** A clock that stands still until a test moves it. */
export class TestClock implements Clock {
  #nowMs: number;
  #monotonicMs = 0;

  /** Starts at `nowMs`, by default a Tuesday of 2026. */
  constructor(nowMs = Date.UTC(2026, 10, 24)) {
    this.#nowMs = nowMs;
  }

  now(): number {
    return this.#nowMs;
  }

  monotonic(): number {
    return this.#monotonicMs;
  }

  /** Lets `ms` pass on both clocks. */
  advance(ms: number): void {
    this.#nowMs += ms;
    this.#monotonicMs += ms;
  }

  /** Somebody sets the wall clock; time that passes is not touched. */
  setWallClock(nowMs: number): void {
    this.#nowMs = nowMs;
  }
}
