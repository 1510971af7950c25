/**
 * Sequence numbers of what a worker sent, acknowledged in order and only when the database has it: a number is passed on once it and all before it
 * are settled.
 */
export class Acknowledgements {
  readonly #acknowledge: (throughSequence: bigint) => void;
  readonly #failed: (error: unknown) => void;
  #tail: Promise<void> = Promise.resolve();
  #waiting = 0;
  #isBroken = false;
  #room: (() => void) | undefined;

  /** `failed` is called at most once: nothing is acknowledged after it, so that the worker sends again. */
  constructor(acknowledge: (throughSequence: bigint) => void, failed: (error: unknown) => void) {
    this.#acknowledge = acknowledge;
    this.#failed = failed;
  }

  add(sequence: bigint, stored: Promise<unknown>): void {
    this.#waiting++;
    const previous = this.#tail;
    this.#tail = Promise.all([previous, stored]).then(
      () => this.#settle(() => this.#acknowledge(sequence)),
      (error: unknown) => this.#settle(() => this.#break(error)),
    );
  }

  /** Resolves when fewer than `most` are under way: call before taking more. */
  async room(most: number): Promise<void> {
    while (this.#waiting >= most) await new Promise<void>((resolve) => (this.#room = resolve));
  }

  #settle(then: () => void): void {
    this.#waiting--;
    if (!this.#isBroken) then();
    this.#room?.();
  }

  #break(error: unknown): void {
    this.#isBroken = true;
    this.#failed(error);
  }
}
