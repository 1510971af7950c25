/**
 * Silence counts only while somebody listened. Notes when this process, or the database, was away, so that nobody is declared gone for the time in
 * which nothing could have been heard of them.
 */
export class Blindness {
  readonly #everyMs: number;
  #sightedSinceMs: number;
  #lastLookMs: number;

  /** `everyMs`: how often `look` is called while all is well; three missed looks are an absence. */
  constructor(nowMs: number, everyMs: number) {
    this.#everyMs = everyMs;
    this.#sightedSinceMs = nowMs;
    this.#lastLookMs = nowMs;
  }

  /** Call at every activation, and with `failed` when the database did not answer. */
  look(nowMs: number, failed = false): void {
    if (failed || nowMs - this.#lastLookMs > 3 * this.#everyMs) this.#sightedSinceMs = nowMs;
    this.#lastLookMs = nowMs;
  }

  /** How long something heard at `lastHeardMs` has been silent, not counting absences of ours. */
  silentForMs(lastHeardMs: number, nowMs: number): number {
    return nowMs - Math.max(lastHeardMs, this.#sightedSinceMs);
  }
}
