/** What the engine remembers. Records are mutable and owned by the engine; the modules beside this one each change them for one concern. */
import type { FunctionCallState } from "@squall/core/function-call-lifecycle";
import type { Id } from "@squall/core/ids";
import { type InputEvent, type InputPhase, transitionInput } from "@squall/core/input-lifecycle";
import { Backlog } from "./backlog.ts";
import type { Attempt, Effect, FunctionPolicy } from "./events.ts";
import type { PlantedBug } from "./planted-bug.ts";
import { Timers } from "./timers.ts";

export interface InputRecord {
  readonly inputId: Id<"input">;
  readonly call: CallRecord;
  readonly idx: number;
  readonly createdAtMs: number;
  phase: InputPhase;
  /** Grows with every phase: what a timer was set for is over when it differs. */
  version: number;
  retryCount: number;
  /** Failures of user code, against the function's retry policy. */
  failures: number;
  /** Attempts lost by infrastructure. */
  losses: number;
  /** The attempt whose outcome will count; set while a container has the input. */
  attempt: { readonly epoch: number; readonly counter: number; readonly containerId: Id<"container"> } | undefined;
  /** The newest attempt that is over: it and all before it are fenced. */
  lastEnded: { readonly epoch: number; readonly counter: number } | undefined;
  /** Monotonic time of its last arrival in the backlog. */
  queuedAtMs: number;
}

export interface CallRecord {
  readonly callId: Id<"functionCall">;
  readonly function: FunctionRecord;
  readonly invocation: number;
  readonly unfinished: Set<InputRecord>;
  state: FunctionCallState;
  nextSequence: number;
  cancelText: string;
  lastUsedMs: number;
}

export interface InputRequest {
  readonly containerId: Id<"container">;
  readonly slots: number;
  readonly requestId: bigint;
}

export interface FunctionRecord {
  policy: FunctionPolicy;
  readonly backlog: Backlog<CallRecord, InputRecord>;
  /** Inputs of before a restart, until the workers that may be running them were heard. */
  readonly parked: Set<InputRecord>;
  readonly awaitedWorkers: Set<Id<"worker">>;
  /** Newest last; entries that are no container's present request are skipped. */
  requests: InputRequest[];
  running: number;
  /** Starts in a row that ended before their container asked for inputs. */
  failedStarts: number;
  lingerTimerAtMs: number;
  lastBusyMs: number;
}

export interface ContainerRecord {
  readonly containerId: Id<"container">;
  readonly functionId: Id<"function">;
  workerId: Id<"worker"> | undefined;
  request: InputRequest | undefined;
  readonly running: Set<InputRecord>;
  /** Has asked for inputs: its start succeeded. */
  isReady: boolean;
  initFailed: boolean;
}

export type Due =
  | { readonly type: "retry" | "undelivered" | "cancelOverdue"; readonly input: InputRecord; readonly version: number }
  | { readonly type: "linger"; readonly functionId: Id<"function"> }
  | { readonly type: "leaseOver" }
  | { readonly type: "forgetIdle" };

export interface EngineState {
  readonly epoch: number;
  readonly plantedBug: PlantedBug | undefined;
  counter: number;
  isRecovered: boolean;
  nowMs: number;
  readonly functions: Map<Id<"function">, FunctionRecord>;
  readonly calls: Map<Id<"functionCall">, CallRecord>;
  readonly inputs: Map<Id<"input">, InputRecord>;
  readonly containers: Map<Id<"container">, ContainerRecord>;
  /** The last few thousand, so that a repeated report is not counted twice. */
  readonly endedContainers: Set<Id<"container">>;
  readonly cancelledApps: Map<Id<"app">, string>;
  readonly unfinishedByWorkspace: Map<Id<"workspace">, number>;
  readonly timers: Timers<Due>;
  effects: Effect[];
  readonly changedDemand: Set<Id<"function">>;
  /** Functions whose inputs or requests changed in this step. */
  readonly toPump: Set<FunctionRecord>;
}

export function emptyState(epoch: number, plantedBug: PlantedBug | undefined): EngineState {
  return {
    epoch,
    plantedBug,
    counter: 0,
    isRecovered: false,
    nowMs: 0,
    functions: new Map(),
    calls: new Map(),
    inputs: new Map(),
    containers: new Map(),
    endedContainers: new Set(),
    cancelledApps: new Map(),
    unfinishedByWorkspace: new Map(),
    timers: new Timers(),
    effects: [],
    changedDemand: new Set(),
    toPump: new Set(),
  };
}

/** The function's record with the newest policy seen. */
export function functionRecord(state: EngineState, policy: FunctionPolicy): FunctionRecord {
  const known = state.functions.get(policy.functionId);
  if (known !== undefined) {
    known.policy = policy;
    return known;
  }
  const record: FunctionRecord = {
    policy,
    backlog: new Backlog(),
    parked: new Set(),
    awaitedWorkers: new Set(),
    requests: waitingRequests(state, policy.functionId),
    running: 0,
    failedStarts: 0,
    lingerTimerAtMs: 0,
    lastBusyMs: state.nowMs,
  };
  state.functions.set(policy.functionId, record);
  return record;
}

/** Containers may have asked before anybody called the function in this process. */
function waitingRequests(state: EngineState, functionId: Id<"function">): InputRequest[] {
  const requests: InputRequest[] = [];
  for (const container of state.containers.values()) {
    if (container.functionId === functionId && container.request !== undefined) requests.push(container.request);
  }
  return requests;
}

export function containerRecord(state: EngineState, containerId: Id<"container">, functionId: Id<"function">): ContainerRecord {
  let record = state.containers.get(containerId);
  if (record === undefined) {
    record = { containerId, functionId, workerId: undefined, request: undefined, running: new Set(), isReady: false, initFailed: false };
    state.containers.set(containerId, record);
  }
  return record;
}

/** Moves the input on; an illegal move is a bug of the engine, never of its callers. */
export function moveInput(input: InputRecord, event: InputEvent): void {
  const next = transitionInput(input.phase, event);
  if (next === "illegal") throw new Error(`input ${input.inputId} cannot ${event} while ${input.phase}`);
  input.phase = next;
  input.version++;
}

/** Marks the function's demand as changed and as busy now, and lets it give out inputs at the end of the step. */
export function touch(state: EngineState, record: FunctionRecord): void {
  state.changedDemand.add(record.policy.functionId);
  state.toPump.add(record);
  record.lastBusyMs = state.nowMs;
}

/** Whether `a` was given later than `b`. */
export function isNewer(a: { epoch: number; counter: number }, b: { epoch: number; counter: number } | undefined): boolean {
  return b === undefined || a.epoch > b.epoch || (a.epoch === b.epoch && a.counter > b.counter);
}

export function isSameAttempt(input: InputRecord, attempt: Attempt): boolean {
  return input.attempt !== undefined && input.attempt.epoch === attempt.epoch && input.attempt.counter === attempt.counter;
}

/** The attempt that the input is in now, as others name it. */
export function currentAttempt(input: InputRecord): Attempt | undefined {
  return input.attempt && { inputId: input.inputId, epoch: input.attempt.epoch, counter: input.attempt.counter };
}
