/** Values between one writer and one reader that do not keep the same pace. The reader iterates it; the writer asks for room when it can wait. */
export class ByteQueue<Value> implements AsyncIterable<Value> {
  readonly #limitBytes: number;
  readonly #values: { readonly value: Value; readonly sizeBytes: number }[] = [];
  #heldBytes = 0;
  #isEnded = false;
  #wakeReader: (() => void) | undefined;
  #wakeWriters: (() => void)[] = [];

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Never waits and never refuses: a writer that can wait awaits `hasRoom`, another looks at `heldBytes`. Dropped after `end`. */
  push(value: Value, sizeBytes: number): void {
    if (this.#isEnded) return;
    this.#values.push({ value, sizeBytes });
    this.#heldBytes += sizeBytes;
    this.#wakeReader?.();
  }

  /** Resolves when fewer bytes than the limit are held, or none will be read any more. */
  async hasRoom(): Promise<void> {
    while (this.#heldBytes > this.#limitBytes && !this.#isEnded) await new Promise<void>((resolve) => this.#wakeWriters.push(resolve));
  }

  /** The reader gets what is held and then the end. */
  end(): void {
    this.#isEnded = true;
    this.#wakeReader?.();
    for (const wake of this.#wakeWriters.splice(0)) wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Value> {
    for (;;) {
      const next = this.#values.shift();
      if (next) {
        this.#heldBytes -= next.sizeBytes;
        if (this.#heldBytes <= this.#limitBytes) for (const wake of this.#wakeWriters.splice(0)) wake();
        yield next.value;
      } else if (this.#isEnded) {
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.#wakeReader = resolve;
        });
        this.#wakeReader = undefined;
      }
    }
  }
}
