/** What waits to go out on one stream, in order. One reader. */
export class Mailbox<Message> {
  readonly #waiting: Message[] = [];
  readonly #most: number;
  #wake: (() => void) | undefined;
  #closed: { readonly error: unknown } | undefined;

  /** Holds at most this many messages: a reader that fell so far behind is cut off. */
  constructor(most: number) {
    this.#most = most;
  }

  get isClosed(): boolean {
    return this.#closed !== undefined;
  }

  /** False when the stream is over. */
  post(message: Message): boolean {
    if (this.#closed !== undefined) return false;
    if (this.#waiting.length >= this.#most) {
      this.close(new Error(`the other side of the stream does not read: ${this.#most} messages wait`));
      return false;
    }
    this.#waiting.push(message);
    this.#wake?.();
    return true;
  }

  /** What waits is dropped; the reader ends, with `error` if there is one. */
  close(error?: unknown): void {
    this.#closed ??= { error };
    this.#wake?.();
  }

  async *read(): AsyncGenerator<Message> {
    for (;;) {
      if (this.#closed !== undefined) {
        if (this.#closed.error !== undefined) throw this.#closed.error;
        return;
      }
      const next = this.#waiting.shift();
      if (next !== undefined) yield next;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}
