/** Reads one container's counters at intervals and journals what it used. */
import { type MeterState, nextSegment, type Reservation, type UsageJournal } from "./usage.ts";

export interface MeterOptions {
  readonly containerId: string;
  readonly reserved: Reservation;
  readonly journal: UsageJournal;
  readonly read: () => { readonly cpuNs: number; readonly peakMemoryBytes: number } | undefined;
  readonly nowMs: () => number;
  /** Called after each segment, so that the state can be kept. */
  readonly moved: (state: MeterState) => Promise<void>;
  readonly onError: (error: unknown) => void;
}

const intervalMs = 10_000;

export class Meter {
  readonly #options: MeterOptions;
  #state: MeterState;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(options: MeterOptions, state: MeterState) {
    this.#options = options;
    this.#state = state;
    this.#timer = setInterval(() => {
      const reading = this.#options.read();
      if (reading) this.#append(reading, this.#options.nowMs(), false);
    }, intervalMs);
  }

  get state(): MeterState {
    return this.#state;
  }

  /** The last segment, from the counters at the end. Resolves when it is on disk. */
  async finish(reading: { readonly cpuNs: number; readonly peakMemoryBytes: number }, atMs: number): Promise<void> {
    clearInterval(this.#timer);
    this.#append(reading, atMs, true);
    await this.#writing;
  }

  /** The end is not known: what was not journaled yet is not billed. */
  abandon(): void {
    clearInterval(this.#timer);
  }

  #append(reading: { readonly cpuNs: number; readonly peakMemoryBytes: number }, nowMs: number, isFinal: boolean): void {
    const { containerId, reserved, journal, moved, onError } = this.#options;
    const { segment, state } = nextSegment({ containerId, state: this.#state, reading, nowMs, reserved, isFinal });
    this.#state = state;
    this.#writing = this.#writing
      .then(async () => {
        await journal.append(segment);
        if (!isFinal) await moved(state);
      })
      .catch(onError);
  }
}
