/**
 * Few containers at a time between start and first request for inputs: imports are pure CPU, and a burst that starts all at once makes all of them
 * late. A container that takes longer than 10 s for it (a model that loads) no longer counts.
 */
const patienceMs = 10_000;

export class StartGate {
  readonly #limit: number;
  #inside = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Resolves with a function that leaves the gate; calling it twice is no fault. In order of arrival. Rejects when `signal` aborts first. */
  async enter(signal: AbortSignal): Promise<() => void> {
    if (this.#inside >= this.#limit) {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      this.#waiting.push(resolve);
      const giveUp = () => {
        const at = this.#waiting.indexOf(resolve);
        if (at >= 0) this.#waiting.splice(at, 1);
        reject(signal.reason);
      };
      signal.addEventListener("abort", giveUp, { once: true });
      await promise.finally(() => signal.removeEventListener("abort", giveUp));
    } else this.#inside++;
    return this.#once();
  }

  /** A leaver hands its place to the next in line. */
  #once(): () => void {
    let isInside = true;
    const leave = () => {
      clearTimeout(timer);
      if (!isInside) return;
      isInside = false;
      const next = this.#waiting.shift();
      if (next) next();
      else this.#inside--;
    };
    const timer = setTimeout(leave, patienceMs);
    timer.unref();
    return leave;
  }
}
