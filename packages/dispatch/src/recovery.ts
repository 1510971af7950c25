/**
 * After a restart: the backlog comes from the database, what runs comes from the workers. Until every worker that may hold inputs of a function
 * was heard (or a lease has passed), the function's old inputs stay parked, because one of them may be running; new inputs flow at once.
 */
import type { Id } from "@squall/core/ids";
import type { Attempt, DispatchEvent, LiveContainer, LoadedInput, ReportedContainer } from "./events.ts";
import { assign } from "./give.ts";
import { enqueue, giveUp, isLostTooOften, loseAttempt } from "./inputs.ts";
import { containerRecord, type EngineState, type InputRecord, isNewer, isSameAttempt, moveInput, touch } from "./state.ts";

/** How long an input that a reconnected worker does not report may still be on its way as an output that the worker sends again. */
const undeliveredGraceMs = 1_000;

export function loadInputs(inputs: readonly LoadedInput[], addInput: (loaded: LoadedInput) => InputRecord | undefined): void {
  for (const loaded of inputs) {
    const input = addInput(loaded);
    if (input === undefined) continue;
    input.retryCount = loaded.retryCount;
    input.failures = loaded.failures;
    input.losses = loaded.losses;
    input.lastEnded = loaded.lastEnded;
    input.call.function.parked.add(input);
  }
}

export function recovered(state: EngineState, { containers, leaseMs }: Extract<DispatchEvent, { type: "recovered" }>): void {
  state.isRecovered = true;
  for (const container of containers) awaitWorker(state, container);
  for (const record of state.functions.values()) {
    if (record.awaitedWorkers.size === 0) unpark(state, [...record.parked]);
  }
  state.timers.add(state.nowMs + leaseMs, { type: "leaseOver" });
}

function awaitWorker(state: EngineState, { containerId, functionId, workerId }: LiveContainer): void {
  containerRecord(state, containerId, functionId).workerId = workerId;
  if (state.plantedBug !== "noHold") state.functions.get(functionId)?.awaitedWorkers.add(workerId);
}

/** Who was not heard within a lease is not waited for. */
export function leaseOver(state: EngineState): void {
  for (const record of state.functions.values()) {
    record.awaitedWorkers.clear();
    unpark(state, [...record.parked]);
  }
}

/** A worker says what its containers hold: the truth about deliveries and, after a restart, about attempts of the owner before us. */
export function workerConnected(state: EngineState, workerId: Id<"worker">, reports: readonly ReportedContainer[]): void {
  const reported = new Map(reports.map((report) => [report.containerId, report]));
  for (const report of reports) {
    if (!report.isLive || state.endedContainers.has(report.containerId)) continue;
    const container = containerRecord(state, report.containerId, report.functionId);
    container.workerId = workerId;
    container.request = undefined; // asked on a stream that is gone: it asks again
    if (report.running.length > 0) container.isReady = true;
    adopt(state, report);
  }
  for (const container of state.containers.values()) {
    if (container.workerId !== workerId) continue;
    const running = reported.get(container.containerId)?.running ?? [];
    for (const input of container.running) {
      if (running.some((attempt) => isSameAttempt(input, attempt))) continue;
      state.timers.add(state.nowMs + undeliveredGraceMs, { type: "undelivered", input, version: input.version });
    }
  }
  for (const record of state.functions.values()) {
    if (record.awaitedWorkers.delete(workerId) && record.awaitedWorkers.size === 0) unpark(state, [...record.parked]);
  }
}

/** The worker never got it, and no output of it came: it goes to somebody else. */
export function undelivered(state: EngineState, input: InputRecord): void {
  if (state.plantedBug === "forgetUndelivered") return;
  loseAttempt(state, input, "The delivery did not reach the container.");
}

function adopt(state: EngineState, report: ReportedContainer): void {
  const superseded: Attempt[] = [];
  for (const attempt of report.running) {
    const input = state.inputs.get(attempt.inputId);
    if (input !== undefined && isSameAttempt(input, attempt)) {
      if (input.phase === "cancelling") superseded.push(attempt); // said once more: the first word may have been lost
    } else if (input !== undefined && canAdopt(state, input, attempt)) {
      adoptAttempt(state, input, attempt, report.containerId);
    } else {
      superseded.push(attempt);
    }
  }
  if (superseded.length > 0) state.effects.push({ type: "cancel", containerId: report.containerId, attempts: superseded, terminateContainer: false });
}

/** The owner before us gave it out: from here on it is as if we had. */
export function adoptAttempt(state: EngineState, input: InputRecord, { epoch, counter }: Attempt, containerId: Id<"container">): void {
  takeFromBacklog(state, input);
  moveInput(input, "adopt");
  assign(state, input, { epoch, counter, containerId });
}

/** Given by the owner before us, and not known to be over. */
function canAdopt(state: EngineState, input: InputRecord, attempt: Attempt): boolean {
  if (state.plantedBug === "noAdopt") return false;
  return input.attempt === undefined && (input.phase === "queued" || input.phase === "delayed") && isNewer(attempt, input.lastEnded);
}

/** Whether an output of this attempt would count. */
export function isFenced(state: EngineState, input: InputRecord, attempt: Attempt): boolean {
  if (input.phase === "storing" || input.phase === "done") return true;
  if (state.plantedBug === "noFence") return false;
  if (input.attempt !== undefined) return !isSameAttempt(input, attempt);
  return attempt.epoch >= state.epoch || !isNewer(attempt, input.lastEnded);
}

export function takeFromBacklog(state: EngineState, input: InputRecord): void {
  const { function: record } = input.call;
  const isParked = record.parked.delete(input);
  if (!isParked && input.phase === "queued") record.backlog.remove(input.call, new Set([input]));
  touch(state, record);
}

function unpark(state: EngineState, inputs: readonly InputRecord[]): void {
  for (const input of inputs) {
    input.call.function.parked.delete(input);
    // The process before us may have died between its last loss and its outcome.
    if (isLostTooOften(state, input)) giveUp(state, input, { attempt: undefined, message: "" });
    else enqueue(state, input);
  }
}
