/** What dispatch writes: outputs, ended attempts and chunks, as rows of the journal. A refusal by the database is a bug and goes to the log. */
import type { Clock } from "@squall/core/clock";
import type { Id } from "@squall/core/ids";
import type { EndedAttempt, OutputToStore, ResultBytes } from "@squall/dispatch/events";
import type { OutputLog } from "@squall/services/function-call/output-log";
import type { AttemptRow, StoredBytes } from "@squall/services/journal/batch";
import type { Journal } from "@squall/services/journal/journal";
import type { LargeBytes } from "@squall/services/journal/large-bytes";
import type { Logger } from "@squall/services/log";
import { makeResult } from "../wire/result.ts";
import type { AttemptKey } from "./ports.ts";

export interface DispatchStoresOptions {
  readonly journal: Journal;
  readonly outputs: OutputLog;
  readonly largeBytes: LargeBytes;
  readonly clock: Clock;
  readonly log: Logger;
}

export class DispatchStores {
  readonly #options: DispatchStoresOptions;

  constructor(options: DispatchStoresOptions) {
    this.#options = options;
  }

  /** Readers see the output when it is stored; `onStored` follows at once. */
  output(output: OutputToStore, onStored: () => void): void {
    const { journal, outputs, clock, log } = this.#options;
    const nowMs = clock.now();
    const { inputId, callId, workspaceId, idx, sequence, containerId, attempt } = output;
    const { bytes, dataFormat, startedAtMs, createdAtMs } = resultOf(output, nowMs);
    const row = { inputId, workspaceId, callId, sequence, result: this.#storedResult(attempt, bytes), dataFormat, containerId, startedAtMs, createdAtMs };
    const attempts = attempt === undefined ? [] : [attemptRow({ ...output, attempt }, nowMs)];
    void journal.append({ outputs: [row], attempts }).then(
      () => {
        outputs.publish({ inputId, callId, idx, sequence, result: bytes, dataFormat, containerId, startedAtMs, createdAtMs });
        onStored();
      },
      (error: unknown) => log.error({ err: error, inputId }, "an output was refused by the database"),
    );
  }

  attempt({ attempt, workspaceId, containerId, outcome, message, retryCount }: EndedAttempt): void {
    const { journal, clock, log } = this.#options;
    const row = { ...attempt, workspaceId, containerId, outcome, message, endedAtMs: clock.now(), nextRetryCount: retryCount };
    void journal.append({ attempts: [row] }).catch((error: unknown) => log.error({ err: error, attempt }, "an attempt was refused by the database"));
  }

  chunks(
    { callId, workspaceId }: { readonly callId: Id<"functionCall">; readonly workspaceId: Id<"workspace"> },
    chunks: readonly { readonly idx: number; readonly bytes: Uint8Array; readonly key: string }[],
  ): void {
    const { journal, outputs, largeBytes, log } = this.#options;
    const rows = chunks.map(({ idx, bytes, key }) => ({ callId, workspaceId, idx, chunk: largeBytes.take(key, bytes) }));
    void journal.append({ chunks: rows }).then(
      () => outputs.wake(callId),
      (error: unknown) => log.error({ err: error, callId }, "chunks were refused by the database"),
    );
  }

  #storedResult(attempt: AttemptKey | undefined, bytes: Uint8Array): StoredBytes {
    return attempt === undefined ? { bytes } : this.#options.largeBytes.take(resultKey(attempt), bytes);
  }
}

/** Where a large result of this attempt lies. */
export function resultKey(attempt: AttemptKey): string {
  return `result/${keyOf(attempt)}`;
}

/** Where a large chunk of this attempt lies. */
export function chunkKey(callId: Id<"functionCall">, idx: number, attempt: AttemptKey): string {
  return `chunk/${callId}-${idx}-${keyOf(attempt)}`;
}

function keyOf({ inputId, epoch, counter }: AttemptKey): string {
  return `${inputId}-${epoch}-${counter}`;
}

function resultOf({ outcome }: OutputToStore, nowMs: number): ResultBytes {
  if (outcome.from === "container") return outcome.result;
  return { bytes: makeResult(outcome.kind, outcome.text), dataFormat: 0, startedAtMs: nowMs, createdAtMs: nowMs };
}

function attemptRow(output: OutputToStore & { readonly attempt: AttemptKey }, endedAtMs: number): AttemptRow {
  const { attempt, workspaceId, containerId, outcome } = output;
  const message = outcome.from === "engine" ? outcome.text : "";
  return { ...attempt, workspaceId, containerId, outcome: outcome.kind, endedAtMs, message, nextRetryCount: undefined };
}
