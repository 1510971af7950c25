/** Rows of the hot tables on their way into the database, and batches of them. */
import type { Id } from "@squall/core/ids";

export interface CallRow {
  readonly id: Id<"functionCall">;
  readonly workspaceId: Id<"workspace">;
  readonly functionId: Id<"function">;
  readonly appId: Id<"app">;
  readonly kind: "unary" | "map";
  /** The client's invocation type, as on the wire. */
  readonly invocation: number;
  readonly callerInputId: string | undefined;
  readonly callerCallId: string | undefined;
  readonly idempotencyKey: string | undefined;
  readonly requestHash: Uint8Array | undefined;
  readonly createdAtMs: number;
  readonly isClosed: boolean;
  readonly numInputs: number | undefined;
}

/** Bytes stand in the row up to 64 KiB, else in objects under a key. */
export type StoredBytes = { readonly bytes: Uint8Array } | { readonly objectKey: string };

export interface InputRow {
  readonly id: Id<"input">;
  readonly workspaceId: Id<"workspace">;
  readonly callId: Id<"functionCall">;
  readonly functionId: Id<"function">;
  readonly idx: number;
  readonly payload: StoredBytes;
  readonly sizeBytes: number;
  readonly createdAtMs: number;
  /** Written only if its call, in the same entry, is new. */
  readonly withCall: boolean;
}

export interface OutputRow {
  readonly inputId: Id<"input">;
  readonly workspaceId: Id<"workspace">;
  readonly callId: Id<"functionCall">;
  readonly sequence: number;
  readonly result: StoredBytes;
  readonly dataFormat: number;
  readonly containerId: Id<"container"> | undefined;
  readonly startedAtMs: number;
  readonly createdAtMs: number;
}

export interface AttemptRow {
  readonly inputId: Id<"input">;
  readonly epoch: number;
  readonly counter: number;
  readonly workspaceId: Id<"workspace">;
  readonly containerId: Id<"container"> | undefined;
  readonly outcome: string;
  readonly endedAtMs: number;
  readonly message: string;
  /** Retry count of the input's next attempt; undefined when this one was its last. */
  readonly nextRetryCount: number | undefined;
}

export interface ChunkRow {
  readonly callId: Id<"functionCall">;
  readonly workspaceId: Id<"workspace">;
  readonly idx: number;
  readonly chunk: StoredBytes;
}

export interface CallChange {
  readonly callId: Id<"functionCall">;
  readonly cancelledAtMs?: number;
  readonly isClosed?: boolean;
  readonly numInputs?: number;
}

/** What one `append` writes, all of it or nothing. */
export interface JournalEntry {
  readonly calls?: readonly CallRow[];
  readonly inputs?: readonly InputRow[];
  readonly outputs?: readonly OutputRow[];
  readonly attempts?: readonly AttemptRow[];
  readonly chunks?: readonly ChunkRow[];
  readonly callChanges?: readonly CallChange[];
}

export type Batch = { readonly [Kind in keyof Required<JournalEntry>]: Required<JournalEntry>[Kind] };

/** Largest payload or result that stands in a row. */
export const maxInlineBytes = 64 * 1024;

export function mergeEntries(entries: readonly JournalEntry[]): Batch {
  return {
    calls: entries.flatMap((entry) => entry.calls ?? []),
    inputs: entries.flatMap((entry) => entry.inputs ?? []),
    outputs: entries.flatMap((entry) => entry.outputs ?? []),
    attempts: entries.flatMap((entry) => entry.attempts ?? []),
    chunks: entries.flatMap((entry) => entry.chunks ?? []),
    callChanges: entries.flatMap((entry) => entry.callChanges ?? []),
  };
}
