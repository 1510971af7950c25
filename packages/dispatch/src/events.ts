/**
 * What the engine is told and what it asks for. Both are plain values, so that a schedule can be replayed. Times: `atMs` is monotonic,
 * `createdAtMs` is wall clock (only ever passed through).
 */
import type { Id } from "@squall/core/ids";

/** One try of one input. Later tries of an input compare greater by (epoch, counter); the epoch is that of the owner of the shard. */
export interface Attempt {
  readonly inputId: Id<"input">;
  readonly epoch: number;
  readonly counter: number;
}

/** What of a function the engine decides by. */
export interface FunctionPolicy {
  readonly functionId: Id<"function">;
  readonly appId: Id<"app">;
  readonly workspaceId: Id<"workspace">;
  readonly retry: RetryPolicy;
  /** With a linger, fewer inputs than a request's slots wait up to this long for company. */
  readonly batchLingerMs: number;
}

/** The user's `retries=`: only failures of user code count. Delay of try n (from 1) = initial * backoff^(n-1), at most `maxDelayMs`. */
export interface RetryPolicy {
  readonly max: number;
  readonly initialDelayMs: number;
  readonly maxDelayMs: number;
  readonly backoff: number;
}

export interface SubmittedCall {
  readonly callId: Id<"functionCall">;
  readonly functionId: Id<"function">;
  readonly appId: Id<"app">;
  /** The client's invocation type: goes to the container unread. */
  readonly invocation: number;
  readonly isClosed: boolean;
  readonly isCancelled: boolean;
  /** First free entry of its output sequence, from 1. */
  readonly nextSequence: number;
}

export interface SubmittedInput {
  readonly inputId: Id<"input">;
  readonly idx: number;
  readonly createdAtMs: number;
}

/** An unfinished input as the database has it: `failures` and `losses` and the newest ended attempt come from its attempt rows. */
export interface LoadedInput extends SubmittedInput {
  readonly callId: Id<"functionCall">;
  readonly retryCount: number;
  readonly failures: number;
  readonly losses: number;
  readonly lastEnded: { readonly epoch: number; readonly counter: number } | undefined;
}

export interface LiveContainer {
  readonly containerId: Id<"container">;
  readonly functionId: Id<"function">;
  readonly workerId: Id<"worker">;
}

export interface ReportedContainer {
  readonly containerId: Id<"container">;
  readonly functionId: Id<"function">;
  readonly isLive: boolean;
  readonly running: readonly Attempt[];
}

/** How an attempt came out: read from the result's status by the driver, the bytes themselves are opaque here. */
export type OutcomeKind = "success" | "failure" | "timeout" | "terminated" | "initFailure" | "internal" | "outOfMemory";

export interface ResultBytes {
  readonly bytes: Uint8Array;
  readonly dataFormat: number;
  readonly startedAtMs: number;
  readonly createdAtMs: number;
}

export interface ArrivedOutput {
  readonly containerId: Id<"container">;
  readonly attempt: Attempt;
  readonly kind: OutcomeKind;
  readonly result: ResultBytes;
}

/** The outcome of an input: the container's bytes, or a text of ours that the driver puts into a result message. */
export type Outcome =
  | { readonly from: "container"; readonly kind: OutcomeKind; readonly result: ResultBytes }
  | { readonly from: "engine"; readonly kind: OutcomeKind; readonly text: string };

export type EndReason = "exited" | "stopped" | "outOfMemory" | "inputTimeout" | "startupTimeout" | "startFailed" | "lost";

export type DispatchEvent =
  /** Before `recovered`, in any number and order: calls first, then their inputs. */
  | { readonly type: "callLoaded"; readonly atMs: number; readonly policy: FunctionPolicy; readonly call: SubmittedCall }
  | { readonly type: "inputsLoaded"; readonly atMs: number; readonly inputs: readonly LoadedInput[] }
  /** Everything is loaded. Functions with live containers wait for their workers' reports, `leaseMs` at most. */
  | { readonly type: "recovered"; readonly atMs: number; readonly leaseMs: number; readonly containers: readonly LiveContainer[] }
  /** Stored: `call` and `inputs` are in the database. */
  | {
      readonly type: "submitted";
      readonly atMs: number;
      readonly policy: FunctionPolicy;
      readonly call: SubmittedCall;
      readonly inputs: readonly SubmittedInput[];
    }
  | { readonly type: "callClosed"; readonly atMs: number; readonly callId: Id<"functionCall"> }
  | { readonly type: "callCancelled"; readonly atMs: number; readonly callId: Id<"functionCall">; readonly text: string; readonly terminateContainers: boolean }
  | { readonly type: "appCancelled"; readonly atMs: number; readonly appId: Id<"app">; readonly text: string }
  /** The container waits for at most `slots` inputs; replaces its earlier request, 0 withdraws it. */
  | {
      readonly type: "inputsRequested";
      readonly atMs: number;
      readonly containerId: Id<"container">;
      readonly functionId: Id<"function">;
      readonly slots: number;
      readonly requestId: bigint;
    }
  /** The worker was not connected: nothing was sent. */
  | { readonly type: "giveFailed"; readonly atMs: number; readonly containerId: Id<"container">; readonly attempts: readonly Attempt[] }
  | { readonly type: "outputArrived"; readonly atMs: number; readonly output: ArrivedOutput }
  /** Import or enter hook failed. */
  | {
      readonly type: "initFailed";
      readonly atMs: number;
      readonly containerId: Id<"container">;
      readonly functionId: Id<"function">;
      readonly result: ResultBytes;
    }
  /** The container is gone for good. `text` says how, for people. */
  | {
      readonly type: "containerEnded";
      readonly atMs: number;
      readonly containerId: Id<"container">;
      readonly functionId: Id<"function">;
      readonly reason: EndReason;
      readonly text: string;
    }
  | { readonly type: "workerConnected"; readonly atMs: number; readonly workerId: Id<"worker">; readonly containers: readonly ReportedContainer[] }
  /** The database has these outputs. */
  | { readonly type: "stored"; readonly atMs: number; readonly inputIds: readonly Id<"input">[] }
  /** Time went on: do what is due. */
  | { readonly type: "tick"; readonly atMs: number };

export interface Delivery {
  readonly attempt: Attempt;
  readonly callId: Id<"functionCall">;
  readonly invocation: number;
  readonly retryCount: number;
}

/** An ended attempt, for the history. */
export interface EndedAttempt {
  readonly attempt: Attempt;
  readonly workspaceId: Id<"workspace">;
  readonly containerId: Id<"container"> | undefined;
  readonly outcome: OutcomeKind | "lost";
  readonly message: string;
  /** Retry count of the input's next attempt. */
  readonly retryCount: number;
}

export interface OutputToStore {
  readonly inputId: Id<"input">;
  readonly callId: Id<"functionCall">;
  readonly functionId: Id<"function">;
  readonly workspaceId: Id<"workspace">;
  readonly idx: number;
  readonly sequence: number;
  readonly outcome: Outcome;
  readonly containerId: Id<"container"> | undefined;
  readonly attempt: Attempt | undefined;
}

export type Effect =
  | { readonly type: "give"; readonly containerId: Id<"container">; readonly requestId: bigint; readonly inputs: readonly Delivery[] }
  | { readonly type: "cancel"; readonly containerId: Id<"container">; readonly attempts: readonly Attempt[]; readonly terminateContainer: boolean }
  /** Write in this order, then tell `stored`. */
  | { readonly type: "storeOutput"; readonly output: OutputToStore }
  | { readonly type: "storeAttempt"; readonly ended: EndedAttempt }
  /** Outputs of the call can be read now. */
  | { readonly type: "outputsReady"; readonly callId: Id<"functionCall"> }
  | { readonly type: "demandChanged"; readonly functionId: Id<"function"> };
