/** What keeps one pool full. */
export interface RefillOptions {
  readonly isFull: () => boolean;
  readonly makeOne: () => Promise<void>;
  readonly onError: (error: unknown) => void;
}

/** How long a pool rests after something was taken: whoever took it is starting a container, and a refill would compete with that for the kernel's locks. */
const quietMs = 100;

/** Fills a pool one by one, in the background and once things are quiet. A failure ends the attempt; the next nudge is the retry. */
export class Refill {
  readonly #options: RefillOptions;
  #timer: NodeJS.Timeout | undefined;
  #filling: Promise<void> | undefined;
  #isStopped = false;

  constructor(options: RefillOptions) {
    this.#options = options;
  }

  /** Something was taken: fill up after a while of quiet. */
  nudge(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.now(), quietMs);
    this.#timer.unref();
  }

  /** Fills up at once; resolves when the pool is full or could not be filled. */
  async now(): Promise<void> {
    this.#filling ??= this.#fill().finally(() => {
      this.#filling = undefined;
    });
    await this.#filling;
  }

  /** No filling any more; resolves when what had begun is done. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    await this.#filling;
  }

  async #fill(): Promise<void> {
    try {
      while (!this.#isStopped && !this.#options.isFull()) await this.#options.makeOne();
    } catch (error) {
      this.#options.onError(error);
    }
  }
}
