/**
 * Calls in memory: who waits, who runs what, whose outcome counts. One engine owns all functions of its shard, so there are no locks; it does
 * no I/O and reads no clock. `step` takes one event and returns what is to be done, in order. The same events give the same effects.
 */
import { transitionFunctionCall } from "@squall/core/function-call-lifecycle";
import type { Id } from "@squall/core/ids";
import { cancelApp, cancelCall, cancelOverdue, endCall } from "./cancel.ts";
import { containerEnded, initFailed } from "./containers.ts";
import type { ArrivedOutput, Attempt, DispatchEvent, Effect, FunctionPolicy, SubmittedCall, SubmittedInput } from "./events.ts";
import { pump } from "./give.ts";
import { accept, endAttempt, enqueue, failAttempt, markStored, retryNow, takeBack } from "./inputs.ts";
import type { PlantedBug } from "./planted-bug.ts";
import { adoptAttempt, isFenced, leaseOver, loadInputs, recovered, undelivered, workerConnected } from "./recovery.ts";
import { type CallRecord, containerRecord, type Due, type EngineState, emptyState, functionRecord, type InputRecord, isSameAttempt } from "./state.ts";

/** What of a function waits and runs, for the autoscaler. */
export interface FunctionDemand {
  readonly functionId: Id<"function">;
  readonly queuedInputs: number;
  /** Includes inputs that may be running on a worker not heard since a restart. */
  readonly runningInputs: number;
  /** Wall clock; of the first inputs of up to 32 calls. */
  readonly oldestQueuedAtMs: number | undefined;
  readonly lastBusyMonotonicMs: number;
}

const forgetIdleEveryMs = 60_000;
const idleCallKeptMs = 10 * 60_000;
const idleFunctionKeptMs = 60 * 60_000; // longer than any scale-down window

export class DispatchEngine {
  readonly #state: EngineState;

  /** `epoch` is greater than that of every owner before. */
  constructor({ epoch, plantedBug }: { readonly epoch: number; readonly plantedBug?: PlantedBug | undefined }) {
    this.#state = emptyState(epoch, plantedBug);
    this.#state.timers.add(forgetIdleEveryMs, { type: "forgetIdle" });
  }

  step(event: DispatchEvent): readonly Effect[] {
    const state = this.#state;
    state.nowMs = Math.max(state.nowMs, event.atMs);
    state.effects = [];
    this.#apply(event);
    for (const record of state.toPump) pump(state, record);
    state.toPump.clear();
    for (const functionId of state.changedDemand) state.effects.push({ type: "demandChanged", functionId });
    state.changedDemand.clear();
    return state.effects;
  }

  /** Monotonic time at which a `tick` has something to do; undefined when nothing is awaited. */
  get nextTimerMs(): number | undefined {
    return this.#state.timers.nextMs;
  }

  /** One entry per function in memory. */
  demand(): FunctionDemand[] {
    return [...this.#state.functions.values()].map((record) => {
      let oldestQueuedAtMs: number | undefined;
      for (const head of record.backlog.heads(32)) oldestQueuedAtMs = Math.min(oldestQueuedAtMs ?? head.createdAtMs, head.createdAtMs);
      const runningInputs = record.running + record.parked.size;
      const isBusy = runningInputs > 0 || record.backlog.size > 0;
      return {
        functionId: record.policy.functionId,
        queuedInputs: record.backlog.size,
        runningInputs,
        oldestQueuedAtMs,
        lastBusyMonotonicMs: isBusy ? this.#state.nowMs : record.lastBusyMs,
      };
    });
  }

  hasCall(callId: Id<"functionCall">): boolean {
    return this.#state.calls.has(callId);
  }

  /** Inputs of the call without a stored output; 0 for a call that is not in memory. */
  unfinishedInputs(callId: Id<"functionCall">): number {
    return this.#state.calls.get(callId)?.unfinished.size ?? 0;
  }

  /** Whether a container works on any input of the call. */
  isRunning(callId: Id<"functionCall">): boolean {
    for (const input of this.#state.calls.get(callId)?.unfinished ?? []) if (input.attempt !== undefined) return true;
    return false;
  }

  /** Accepted inputs without a stored output: what a new submission is weighed against. */
  unfinishedInputsOf(workspaceId: Id<"workspace">): number {
    return this.#state.unfinishedByWorkspace.get(workspaceId) ?? 0;
  }

  /** Whether what this attempt says of its input counts. */
  isCurrent(attempt: Attempt): boolean {
    return this.ownerOf(attempt) !== undefined;
  }

  /** Whether this attempt is to end because its call was cancelled. */
  isCancelling(attempt: Attempt): boolean {
    const input = this.#state.inputs.get(attempt.inputId);
    return input?.phase === "cancelling" && isSameAttempt(input, attempt);
  }

  /** The call and workspace of the attempt's input while what it says counts (generator chunks); undefined otherwise. */
  ownerOf(attempt: Attempt): { readonly callId: Id<"functionCall">; readonly workspaceId: Id<"workspace"> } | undefined {
    const input = this.#state.inputs.get(attempt.inputId);
    if (input === undefined || isFenced(this.#state, input, attempt)) return undefined;
    return { callId: input.call.callId, workspaceId: input.call.function.policy.workspaceId };
  }

  #apply(event: DispatchEvent): void {
    const state = this.#state;
    switch (event.type) {
      case "callLoaded":
        this.#call(event.policy, event.call);
        return;
      case "inputsLoaded":
        loadInputs(event.inputs, (loaded) => {
          const call = state.calls.get(loaded.callId);
          return call && this.#addInput(call, loaded);
        });
        return;
      case "recovered":
        recovered(state, event);
        this.#endCancelled();
        return;
      case "submitted":
        this.#submitted(event.policy, event.call, event.inputs);
        return;
      case "callClosed":
        this.#closed(event.callId);
        return;
      case "callCancelled":
        cancelCall(state, event);
        return;
      case "appCancelled":
        cancelApp(state, event.appId, event.text);
        return;
      case "inputsRequested":
        this.#requested(event);
        return;
      case "giveFailed":
        for (const attempt of event.attempts) {
          const input = state.inputs.get(attempt.inputId);
          if (input !== undefined && isSameAttempt(input, attempt)) takeBack(state, input);
        }
        return;
      case "outputArrived":
        this.#arrived(event.output);
        return;
      case "initFailed":
        initFailed(state, event);
        return;
      case "containerEnded":
        containerEnded(state, event);
        return;
      case "workerConnected":
        workerConnected(state, event.workerId, event.containers);
        return;
      case "stored":
        markStored(state, event.inputIds);
        return;
      case "tick":
        this.#tick();
        return;
      default:
        event satisfies never;
    }
  }

  #call(policy: FunctionPolicy, call: SubmittedCall): CallRecord {
    const state = this.#state;
    const record = functionRecord(state, policy);
    const known = state.calls.get(call.callId);
    if (known !== undefined) return known;
    const fresh: CallRecord = {
      callId: call.callId,
      function: record,
      invocation: call.invocation,
      unfinished: new Set(),
      state: call.isCancelled ? "cancelling" : call.isClosed ? "closed" : "open",
      nextSequence: state.plantedBug === "sequenceRestarts" ? 1 : call.nextSequence,
      cancelText: "The call was cancelled.",
      lastUsedMs: state.nowMs,
    };
    state.calls.set(call.callId, fresh);
    return fresh;
  }

  #addInput(call: CallRecord, { inputId, idx, createdAtMs }: SubmittedInput): InputRecord | undefined {
    const state = this.#state;
    if (state.inputs.has(inputId)) return undefined;
    const input: InputRecord = {
      inputId,
      call,
      idx,
      createdAtMs,
      phase: "queued",
      version: 0,
      retryCount: 0,
      failures: 0,
      losses: 0,
      attempt: undefined,
      lastEnded: undefined,
      queuedAtMs: state.nowMs,
    };
    state.inputs.set(inputId, input);
    call.unfinished.add(input);
    call.lastUsedMs = state.nowMs;
    const { workspaceId } = call.function.policy;
    state.unfinishedByWorkspace.set(workspaceId, (state.unfinishedByWorkspace.get(workspaceId) ?? 0) + 1);
    return input;
  }

  #submitted(policy: FunctionPolicy, submitted: SubmittedCall, inputs: readonly SubmittedInput[]): void {
    const state = this.#state;
    const call = this.#call(policy, submitted);
    for (const each of inputs) {
      const input = this.#addInput(call, each);
      if (input !== undefined) enqueue(state, input);
    }
    const appText = state.cancelledApps.get(policy.appId);
    if (appText !== undefined) endCall(state, call, appText);
    else if (call.state === "cancelling" || call.state === "cancelled") endCall(state, call, call.cancelText);
  }

  #endCancelled(): void {
    for (const call of [...this.#state.calls.values()]) {
      if (call.state !== "cancelling") continue;
      cancelCall(this.#state, { type: "callCancelled", atMs: this.#state.nowMs, callId: call.callId, text: call.cancelText, terminateContainers: false });
    }
  }

  #closed(callId: Id<"functionCall">): void {
    const call = this.#state.calls.get(callId);
    if (call === undefined) return;
    const next = transitionFunctionCall(call.state, "close");
    if (next !== "illegal") call.state = next;
    if (call.unfinished.size === 0) this.#state.calls.delete(callId);
  }

  #requested({ containerId, functionId, slots, requestId }: Extract<DispatchEvent, { type: "inputsRequested" }>): void {
    const state = this.#state;
    if (state.endedContainers.has(containerId)) return;
    const container = containerRecord(state, containerId, functionId);
    container.isReady = true;
    container.request = slots > 0 ? { containerId, slots, requestId } : undefined;
    const record = state.functions.get(functionId);
    if (record === undefined) return;
    record.failedStarts = 0;
    if (container.request !== undefined) record.requests.push(container.request);
    if (record.requests.length > 64 + 4 * state.containers.size) {
      record.requests = record.requests.filter((request) => state.containers.get(request.containerId)?.request === request);
    }
    state.toPump.add(record);
  }

  #arrived({ containerId, attempt, kind, result }: ArrivedOutput): void {
    const state = this.#state;
    const input = state.inputs.get(attempt.inputId);
    if (input === undefined || isFenced(state, input, attempt)) return;
    if (input.attempt === undefined) adoptAttempt(state, input, attempt, containerId); // finished while nobody was there to hear it
    const outcome = { from: "container", kind, result } as const;
    if (kind === "failure" || kind === "timeout" || kind === "outOfMemory") failAttempt(state, input, outcome, kind);
    else accept(state, input, outcome, endAttempt(state, input));
  }

  #tick(): void {
    const state = this.#state;
    for (;;) {
      const due = state.timers.takeDue(state.nowMs);
      if (due === undefined) return;
      this.#due(due);
    }
  }

  #due(due: Due): void {
    const state = this.#state;
    switch (due.type) {
      case "retry":
        if (due.input.version === due.version) retryNow(state, due.input);
        return;
      case "undelivered":
        if (due.input.version === due.version) undelivered(state, due.input);
        return;
      case "cancelOverdue":
        if (due.input.version === due.version) cancelOverdue(state, due.input);
        return;
      case "linger": {
        const record = state.functions.get(due.functionId);
        if (record !== undefined) state.toPump.add(record);
        return;
      }
      case "leaseOver":
        leaseOver(state);
        return;
      case "forgetIdle":
        this.#forgetIdle();
        return;
      default:
        due satisfies never;
    }
  }

  /** Calls nobody feeds and functions nobody calls: both are read again from the database when they are used again. */
  #forgetIdle(): void {
    const state = this.#state;
    const usedFunctions = new Set<Id<"function">>([...state.containers.values()].map((container) => container.functionId));
    for (const call of [...state.calls.values()]) {
      if (call.unfinished.size === 0 && state.nowMs - call.lastUsedMs > idleCallKeptMs) state.calls.delete(call.callId);
      else usedFunctions.add(call.function.policy.functionId);
    }
    for (const [functionId, record] of state.functions) {
      if (!usedFunctions.has(functionId) && state.nowMs - record.lastBusyMs > idleFunctionKeptMs) state.functions.delete(functionId);
    }
    state.timers.add(state.nowMs + forgetIdleEveryMs, { type: "forgetIdle" });
  }
}
