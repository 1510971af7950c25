/**
 * Stored outputs of the calls in use, kept in memory within a byte bound, and whoever waits for more. Only what the database has is published
 * here, so a reader never sees a result that could still change.
 */
import type { Id } from "@squall/core/ids";

export interface OutputRecord {
  readonly inputId: Id<"input">;
  readonly callId: Id<"functionCall">;
  readonly idx: number;
  /** From 1, dense, in the order of storing. */
  readonly sequence: number;
  /** The client's GenericResult message. */
  readonly result: Uint8Array;
  readonly dataFormat: number;
  readonly containerId: Id<"container"> | undefined;
  readonly startedAtMs: number;
  readonly createdAtMs: number;
}

interface CallLog {
  /** Every published output from this sequence on is here. */
  readonly fromSequence: number;
  readonly records: OutputRecord[];
  bytes: number;
}

const defaultMaxBytes = 128 << 20;
const maxCalls = 100_000;
const bytesPerRecord = 200; // the record itself, beside its result

export class OutputLog {
  readonly #calls = new Map<string, CallLog>();
  readonly #waiters = new Map<string, Set<() => void>>();
  readonly #maxBytes: number;
  #bytes = 0;

  constructor({ maxBytes = defaultMaxBytes }: { readonly maxBytes?: number } = {}) {
    this.#maxBytes = maxBytes;
  }

  /** A new call: everything of it will pass through here. */
  open(callId: Id<"functionCall">): void {
    if (!this.#calls.has(callId)) this.#calls.set(callId, { fromSequence: 1, records: [], bytes: 0 });
    this.#evict(callId);
  }

  publish(record: OutputRecord): void {
    let log = this.#calls.get(record.callId);
    if (log === undefined) {
      log = { fromSequence: record.sequence, records: [], bytes: 0 };
      this.#calls.set(record.callId, log);
    }
    const bytes = record.result.length + bytesPerRecord;
    log.records.push(record);
    log.bytes += bytes;
    this.#bytes += bytes;
    this.#evict(record.callId);
    this.wake(record.callId);
  }

  /** Outputs after `sequence`, in order; undefined when memory does not reach back that far and the database must be asked. */
  after(callId: Id<"functionCall">, sequence: number): readonly OutputRecord[] | undefined {
    const log = this.#calls.get(callId);
    if (log === undefined || sequence + 1 < log.fromSequence) return undefined;
    const start = sequence + 1 - log.fromSequence; // sequences are dense
    return log.records.slice(Math.max(0, start));
  }

  forget(callId: Id<"functionCall">): void {
    const log = this.#calls.get(callId);
    if (log === undefined) return;
    this.#calls.delete(callId);
    this.#bytes -= log.bytes;
  }

  wake(callId: Id<"functionCall">): void {
    for (const waiter of this.#waiters.get(callId) ?? []) waiter();
  }

  /** A promise of the next publication or wake; register before looking, so that nothing is missed. Always `stop` it. */
  watch(callId: Id<"functionCall">): { readonly changed: Promise<void>; stop(): void } {
    const waiters = this.#waiters.get(callId) ?? new Set();
    this.#waiters.set(callId, waiters);
    let notify = (): void => {};
    const changed = new Promise<void>((resolve) => {
      notify = resolve;
    });
    waiters.add(notify);
    const stop = (): void => {
      waiters.delete(notify);
      if (waiters.size === 0 && this.#waiters.get(callId) === waiters) this.#waiters.delete(callId);
    };
    return { changed, stop };
  }

  /** Whole calls go, oldest first: the database has them. */
  #evict(keep: string): void {
    if (this.#bytes <= this.#maxBytes && this.#calls.size <= maxCalls) return;
    for (const [callId, log] of this.#calls) {
      if (callId === keep && this.#calls.size > 1) continue;
      this.#calls.delete(callId);
      this.#bytes -= log.bytes;
      if (this.#bytes <= this.#maxBytes && this.#calls.size <= maxCalls) return;
    }
  }
}
