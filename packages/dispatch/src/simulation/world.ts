/** Virtual time and chance for one schedule: one thread, one seed, so that a failing schedule repeats exactly. */
import { type Random, seededRandom } from "@squall/core/random";
import { Timers } from "../timers.ts";

export class World {
  readonly random: Random;
  readonly violations: string[] = [];
  readonly counters = { apiKills: 0, workerDeaths: 0, freezes: 0, linkBreaks: 0, containerCrashes: 0, repliesLost: 0, commits: 0, outputs: 0, gives: 0 };
  /** After this no more faults happen. */
  readonly healAtMs: number;
  nowMs = 0;
  readonly #agenda = new Timers<() => void>();

  constructor(seed: number, healAtMs: number) {
    this.random = seededRandom(seed);
    this.healAtMs = healAtMs;
  }

  get isHealed(): boolean {
    return this.nowMs >= this.healAtMs;
  }

  after(delayMs: number, act: () => void): void {
    this.#agenda.add(this.nowMs + delayMs, act);
  }

  /** A whole number in [from, to]. */
  between(from: number, to: number): number {
    return from + this.random.int(to - from + 1);
  }

  chance(percent: number): boolean {
    return this.random.int(10_000) < percent * 100;
  }

  pick<T>(items: readonly T[]): T | undefined {
    return items[this.random.int(items.length)];
  }

  violate(text: string): void {
    if (this.violations.length < 20) this.violations.push(`${this.nowMs} ms: ${text}`);
  }

  run(untilMs: number, isDone: () => boolean): void {
    for (;;) {
      const next = this.#agenda.nextMs;
      if (next === undefined || next > untilMs || isDone()) return;
      this.nowMs = next;
      this.#agenda.takeDue(next)?.();
    }
  }
}
