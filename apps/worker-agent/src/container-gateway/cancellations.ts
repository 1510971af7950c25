/**
 * Input ids that the container must be told to cancel, handed over with the answer to its open heartbeat. It is told again with every heartbeat until the
 * input has ended: it overlooks an id that it has been given but has not begun.
 */
export class Cancellations {
  readonly #pending = new Set<string>();
  #wake: (() => void) | undefined;

  add(inputIds: readonly string[]): void {
    for (const inputId of inputIds) this.#pending.add(inputId);
    if (this.#pending.size > 0) this.#wake?.();
  }

  /** The container has answered the input, or never got it. */
  ended(inputId: string): void {
    this.#pending.delete(inputId);
  }

  /** What is pending now, or what comes within `withinMs`; empty when nothing came or the container gave up. One waiter at a time: a second ends the first. */
  async next(withinMs: number, signal: AbortSignal): Promise<readonly string[]> {
    this.#wake?.();
    if (this.#pending.size === 0) await this.#wait(withinMs, signal);
    return signal.aborted ? [] : [...this.#pending];
  }

  #wait(withinMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
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
}
