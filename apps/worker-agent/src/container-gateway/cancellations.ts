/** Input ids that the container must be told to cancel, handed over with the answer to its open heartbeat. */
export class Cancellations {
  #pending = new Set<string>();
  #wake: (() => void) | undefined;

  add(inputIds: readonly string[]): void {
    for (const inputId of inputIds) this.#pending.add(inputId);
    if (this.#pending.size > 0) this.#wake?.();
  }

  /** What is pending now, or what comes within `withinMs`; empty when nothing came or the container gave up. One waiter at a time: a second ends the first. */
  async next(withinMs: number, signal: AbortSignal): Promise<readonly string[]> {
    this.#wake?.();
    if (this.#pending.size === 0) {
      await new Promise<void>((resolve) => {
        const done = () => {
          clearTimeout(timer);
          signal.removeEventListener("abort", done);
          if (this.#wake === done) this.#wake = undefined;
          resolve();
        };
        const timer = setTimeout(done, withinMs);
        signal.addEventListener("abort", done, { once: true });
        this.#wake = done;
        if (signal.aborted) done();
      });
    }
    if (signal.aborted) return [];
    const inputIds = [...this.#pending];
    this.#pending.clear();
    return inputIds;
  }
}
