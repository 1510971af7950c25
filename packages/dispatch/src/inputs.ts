/** What happens to one input: it waits, is taken back, fails, gets its outcome, is done. */
import { transitionFunctionCall } from "@squall/core/function-call-lifecycle";
import type { Id } from "@squall/core/ids";
import type { EndedAttempt, Outcome } from "./events.ts";
import { retryDelayMs } from "./retry-policy.ts";
import { currentAttempt, type EngineState, type InputRecord, moveInput, touch } from "./state.ts";

/** Redeliveries after which an input fails: a container that kills its machine must not wander through all of them. */
export const maxLosses = 8;

export function enqueue(state: EngineState, input: InputRecord, { front = false } = {}): void {
  const { function: record } = input.call;
  input.queuedAtMs = state.nowMs;
  record.backlog.add(input.call, input, { front });
  touch(state, record);
}

/** The attempt is over without outcome and by no fault of the user: again, or failed when it happened too often. */
export function loseAttempt(state: EngineState, input: InputRecord, message: string): void {
  const wasCancelled = input.phase === "cancelling";
  const attempt = endAttempt(state, input);
  if (wasCancelled) {
    accept(state, input, { from: "engine", kind: "terminated", text: input.call.cancelText }, attempt);
    return;
  }
  input.losses++;
  if (state.plantedBug === "lossesCountAsFailures") input.failures++;
  if (state.plantedBug !== "sameRetryCount") input.retryCount++;
  recordEnd(state, input, { attempt, outcome: "lost", message });
  if (isLostTooOften(state, input)) {
    giveUp(state, input, { attempt, message });
    return;
  }
  moveInput(input, "lose");
  if (state.plantedBug === "forgetRedelivery") return;
  enqueue(state, input, { front: true });
}

export function isLostTooOften(state: EngineState, input: InputRecord): boolean {
  return input.losses > maxLosses && state.plantedBug !== "unboundedLosses";
}

/** The input fails for all the attempts that it lost; `message` says how the last one went. */
export function giveUp(state: EngineState, input: InputRecord, { attempt, message }: { attempt: EndedAttempt | undefined; message: string }): void {
  const text = `The input lost its container ${input.losses} times and is not tried again. ${message}`.trim();
  accept(state, input, { from: "engine", kind: "internal", text }, attempt);
}

/** It never left: back to where it was, as if it had not been given. */
export function takeBack(state: EngineState, input: InputRecord): void {
  if (input.phase === "cancelling") {
    loseAttempt(state, input, "");
    return;
  }
  endAttempt(state, input);
  moveInput(input, "lose");
  enqueue(state, input, { front: true });
}

/** User code failed (or ran out of time or memory): retried by the function's policy, or final. */
export function failAttempt(state: EngineState, input: InputRecord, outcome: Outcome, message: string): void {
  const { retry } = input.call.function.policy;
  const canRetry = input.phase === "running" && input.failures < retry.max;
  const attempt = endAttempt(state, input);
  if (!canRetry) {
    accept(state, input, outcome, attempt);
    return;
  }
  input.failures++;
  input.retryCount++;
  recordEnd(state, input, { attempt, outcome: outcome.kind, message });
  moveInput(input, "fail");
  if (state.plantedBug !== "forgetDelayed") {
    state.timers.add(state.nowMs + retryDelayMs(retry, input.failures), { type: "retry", input, version: input.version });
  }
  touch(state, input.call.function);
}

/** The retry's delay is over. */
export function retryNow(state: EngineState, input: InputRecord): void {
  moveInput(input, "due");
  enqueue(state, input);
}

/** The outcome is chosen: it goes to the database, and nothing changes it any more. */
export function accept(state: EngineState, input: InputRecord, outcome: Outcome, attempt: EndedAttempt | undefined): void {
  const { call } = input;
  moveInput(input, "accept");
  call.function.parked.delete(input);
  state.effects.push({
    type: "storeOutput",
    output: {
      inputId: input.inputId,
      callId: call.callId,
      functionId: call.function.policy.functionId,
      workspaceId: call.function.policy.workspaceId,
      idx: input.idx,
      sequence: call.nextSequence++,
      outcome,
      containerId: attempt?.containerId,
      attempt: attempt?.attempt,
    },
  });
  touch(state, call.function);
}

/** The database has the outcome. */
export function markStored(state: EngineState, inputIds: readonly Id<"input">[]): void {
  const ready = new Set<InputRecord["call"]>();
  for (const inputId of inputIds) {
    const input = state.inputs.get(inputId);
    if (input?.phase !== "storing") continue;
    moveInput(input, "store");
    state.inputs.delete(inputId);
    input.call.unfinished.delete(input);
    const { workspaceId } = input.call.function.policy;
    state.unfinishedByWorkspace.set(workspaceId, (state.unfinishedByWorkspace.get(workspaceId) ?? 1) - 1);
    ready.add(input.call);
  }
  for (const call of ready) {
    call.lastUsedMs = state.nowMs;
    state.effects.push({ type: "outputsReady", callId: call.callId });
    if (call.unfinished.size > 0) continue;
    const next = transitionFunctionCall(call.state, "drain");
    if (next === "illegal") continue; // an open map: more inputs may come
    call.state = next;
    state.calls.delete(call.callId);
  }
}

/** Takes the input away from its container; its attempt is fenced from here on. */
export function endAttempt(state: EngineState, input: InputRecord): EndedAttempt | undefined {
  const attempt = currentAttempt(input);
  if (attempt === undefined || input.attempt === undefined) return undefined;
  const { containerId } = input.attempt;
  state.containers.get(containerId)?.running.delete(input);
  input.call.function.running--;
  input.lastEnded = { epoch: attempt.epoch, counter: attempt.counter };
  input.attempt = undefined;
  touch(state, input.call.function);
  return { attempt, workspaceId: input.call.function.policy.workspaceId, containerId, outcome: "lost", message: "", retryCount: input.retryCount };
}

function recordEnd(
  state: EngineState,
  input: InputRecord,
  { attempt, outcome, message }: { attempt: EndedAttempt | undefined; outcome: EndedAttempt["outcome"]; message: string },
): void {
  if (attempt === undefined) return;
  state.effects.push({ type: "storeAttempt", ended: { ...attempt, outcome, message, retryCount: input.retryCount } });
}
