/**
 * How the three engines inside the api talk to each other, so that none imports another: the gateway (streams of workers), dispatch (calls in
 * memory) and cluster (containers and placement). `deps.ts` ties them together.
 */
import type { Id } from "@squall/core/ids";
import type { ServiceContext } from "@squall/services/context";

export interface AttemptKey {
  readonly inputId: Id<"input">;
  readonly epoch: number;
  readonly counter: number;
}

/** One input on its way to a container; `input` is the client's FunctionInput message, unread. */
export interface InputDelivery {
  readonly attempt: AttemptKey;
  readonly functionCallId: Id<"functionCall">;
  readonly input: Uint8Array;
  readonly invocationType: number;
  readonly retryCount: number;
}

export type OutputOrigin = "container" | "timeout" | "containerLost";

export interface ArrivedOutput {
  readonly containerId: Id<"container">;
  readonly attempt: AttemptKey;
  /** modal.client.GenericResult, unread by everything but the wire mapping. */
  readonly result: Uint8Array;
  readonly dataFormat: number;
  readonly startedAtMs: number;
  readonly createdAtMs: number;
  readonly origin: OutputOrigin;
}

export interface ContainerExit {
  readonly reason: "exited" | "stopped" | "outOfMemory" | "inputTimeout" | "startupTimeout" | "startFailed" | "lost";
  readonly code: number;
  readonly message: string;
}

/** What a (re)connecting worker says of one container. */
export interface ReportedContainer {
  readonly containerId: Id<"container">;
  readonly functionId: Id<"function">;
  readonly isLive: boolean;
  readonly running: readonly AttemptKey[];
  /** Open slots of a waiting FunctionGetInputs; 0 when none waits. */
  readonly waitingSlots: number;
}

/** Implemented by the gateway: sends to the worker that holds the container. False when its worker is not connected: the caller keeps the work. */
export interface AgentPort {
  sendInputs(containerId: Id<"container">, requestId: bigint, inputs: readonly InputDelivery[]): boolean;
  cancelInputs(containerId: Id<"container">, attempts: readonly AttemptKey[], terminateContainer: boolean): boolean;
}

/** Waiting and running work of one function: what the autoscaler sees. */
export interface FunctionDemand {
  readonly functionId: Id<"function">;
  readonly queuedInputs: number;
  readonly runningInputs: number;
  readonly oldestQueuedAtMs: number | undefined;
  /** Monotonic time of the last moment with queued or running inputs. */
  readonly lastBusyMonotonicMs: number;
}

/** Implemented by dispatch; called by the gateway. Promises resolve when the database has it, so that the worker may be acknowledged. */
export interface DispatchPort {
  /** After Welcome: what the worker holds. Until then no input of a function with live containers on unheard workers is given out (one lease at most). */
  workerConnected(workerId: Id<"worker">, containers: readonly ReportedContainer[]): void;
  workerDisconnected(workerId: Id<"worker">): void;
  inputsRequested(containerId: Id<"container">, functionId: Id<"function">, slots: number, requestId: bigint): void;
  outputsArrived(outputs: readonly ArrivedOutput[]): Promise<void>;
  dataChunksArrived(containerId: Id<"container">, attempt: AttemptKey, functionCallId: Id<"functionCall">, chunks: readonly Uint8Array[]): Promise<void>;
  /** Import or enter hook failed: `result` is the GenericResult for the queued inputs once the crash loop is over its bound. */
  initFailed(containerId: Id<"container">, functionId: Id<"function">, result: Uint8Array): Promise<void>;
  /** Final: inputs that it still held are redelivered (infrastructure cause) or failed (out of memory, time-out say so themselves). */
  containerEnded(containerId: Id<"container">, functionId: Id<"function">, exit: ContainerExit): Promise<void>;
  /** Every call of the app ends as terminated; resolves when stored. */
  cancelApp(appId: Id<"app">, reason: string): Promise<void>;
  demand(): readonly FunctionDemand[];
  /** Fires (coalesced, same tick) when demand of a function changed. One listener: the autoscale reconciler. */
  onDemand(listener: (functionId: Id<"function">) => void): void;
}

/** Implemented by cluster; called by dispatch, logs and app handlers. */
export interface ClusterPort {
  /** Why the function's queued inputs have no container yet: sentences for people; empty when nothing waits. */
  whyWaiting(functionId: Id<"function">): readonly string[];
  /** Whether a container of the function is on its way to its first input: then waiting is nothing to tell people about yet. */
  isStarting(functionId: Id<"function">): boolean;
  /** Stops every container of the app at once (SIGKILL after the hooks' short grace) and resolves when all have ended or after `withinMs`. */
  stopApp(appId: Id<"app">, withinMs: number): Promise<void>;
  /** A container asked to stop fetching (from inside) or a client asked for it: kill switch at its next FunctionGetInputs. */
  stopContainer(ctx: ServiceContext, containerId: Id<"container">, graceful: boolean): Promise<void>;
}
