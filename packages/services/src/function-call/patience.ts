/** How long one reader waits: until its time is up or it goes away. Always `end` it, so that no timer outlives its request. */
export class Patience {
  /** Resolves when the wait is over. */
  readonly over: Promise<void>;
  #isOver = false;
  readonly #end: () => void;

  constructor(timeoutMs: number, signal: AbortSignal) {
    let finish = (): void => {};
    this.over = new Promise((resolve) => {
      finish = resolve;
    });
    const timer = setTimeout(() => this.end(), Math.max(0, timeoutMs));
    const onAbort = (): void => this.end();
    signal.addEventListener("abort", onAbort, { once: true });
    this.#end = () => {
      this.#isOver = true;
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      finish();
    };
    if (signal.aborted || timeoutMs <= 0) this.end();
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  end(): void {
    this.#end();
  }
}
