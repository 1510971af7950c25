/** Containers come to nothing: before their first input (a crash loop, bounded) or with inputs in hand (redelivered). */
import type { Id } from "@squall/core/ids";
import type { DispatchEvent, EndReason, Outcome } from "./events.ts";
import { accept, failAttempt, loseAttempt } from "./inputs.ts";
import { takeFromBacklog } from "./recovery.ts";
import { containerRecord, type EngineState, type FunctionRecord, touch } from "./state.ts";

/** Starts in a row that may fail before the function's waiting inputs do. */
export const maxFailedStarts = 3;
const endedContainersKept = 10_000;

export function initFailed(state: EngineState, { containerId, functionId, result }: Extract<DispatchEvent, { type: "initFailed" }>): void {
  if (state.endedContainers.has(containerId)) return;
  const container = containerRecord(state, containerId, functionId);
  if (container.initFailed) return; // a second one may follow from the shutdown: the first says why
  container.initFailed = true;
  noteFailedStart(state, functionId, { from: "container", kind: "initFailure", result });
}

export function containerEnded(state: EngineState, { containerId, functionId, reason, text }: Extract<DispatchEvent, { type: "containerEnded" }>): void {
  if (state.endedContainers.has(containerId)) return;
  rememberEnded(state, containerId);
  const container = state.containers.get(containerId);
  state.containers.delete(containerId);
  for (const input of [...(container?.running ?? [])]) {
    if (reason === "outOfMemory") failAttempt(state, input, { from: "engine", kind: "outOfMemory", text }, text);
    else loseAttempt(state, input, text);
  }
  const diedAtStart = !(container?.isReady ?? false) && !(container?.initFailed ?? false) && countsAsFailedStart(reason);
  if (diedAtStart) noteFailedStart(state, functionId, { from: "engine", kind: reason === "outOfMemory" ? "outOfMemory" : "initFailure", text });
}

function countsAsFailedStart(reason: EndReason): boolean {
  switch (reason) {
    case "exited":
    case "outOfMemory":
    case "startupTimeout":
    case "startFailed":
      return true;
    case "stopped":
    case "inputTimeout":
    case "lost":
      return false;
    default:
      return reason satisfies never;
  }
}

function noteFailedStart(state: EngineState, functionId: Id<"function">, outcome: Outcome): void {
  const record = state.functions.get(functionId);
  if (record === undefined) return;
  record.failedStarts++;
  touch(state, record);
  if (record.failedStarts >= maxFailedStarts && state.plantedBug !== "unboundedCrashLoop") failWaiting(state, record, outcome);
}

/** What waits for a container that cannot start gets the reason; what runs elsewhere goes on. */
function failWaiting(state: EngineState, record: FunctionRecord, outcome: Outcome): void {
  for (const input of record.backlog.takeAll()) accept(state, input, outcome, undefined);
  for (const call of state.calls.values()) {
    if (call.function !== record) continue;
    for (const input of call.unfinished) {
      if (input.phase !== "delayed") continue;
      takeFromBacklog(state, input);
      accept(state, input, outcome, undefined);
    }
  }
}

function rememberEnded(state: EngineState, containerId: Id<"container">): void {
  state.endedContainers.add(containerId);
  if (state.endedContainers.size <= endedContainersKept) return;
  for (const oldest of state.endedContainers) {
    state.endedContainers.delete(oldest);
    return;
  }
}
