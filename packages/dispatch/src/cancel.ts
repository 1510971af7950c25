/** Calls and apps that are to end: what waits ends at once, what runs is told to, and is ended for it when it does not answer. */
import { transitionFunctionCall } from "@squall/core/function-call-lifecycle";
import type { Id } from "@squall/core/ids";
import type { Attempt, DispatchEvent } from "./events.ts";
import { accept, endAttempt } from "./inputs.ts";
import { takeFromBacklog } from "./recovery.ts";
import { type CallRecord, currentAttempt, type EngineState, type InputRecord, moveInput } from "./state.ts";

/** How long a container may take to answer a cancelled input: its heartbeat (15 s at most) brings the word, the user's handlers get the rest. */
export const cancelGraceMs = 30_000;
const cancelledAppsKept = 10_000;

export function cancelCall(state: EngineState, { callId, text, terminateContainers }: Extract<DispatchEvent, { type: "callCancelled" }>): void {
  const call = state.calls.get(callId);
  if (call === undefined) return;
  markCancelled(call, text);
  const toContainers = new Map<Id<"container">, Attempt[]>();
  endWaiting(state, call);
  for (const input of call.unfinished) {
    const attempt = currentAttempt(input);
    if (attempt === undefined || input.attempt === undefined) continue;
    if (input.phase === "running") moveInput(input, "cancel");
    else if (input.phase !== "cancelling") continue;
    state.timers.add(state.nowMs + cancelGraceMs, { type: "cancelOverdue", input, version: input.version });
    const { containerId } = input.attempt;
    toContainers.set(containerId, [...(toContainers.get(containerId) ?? []), attempt]);
  }
  for (const [containerId, attempts] of toContainers) {
    state.effects.push({ type: "cancel", containerId, attempts, terminateContainer: terminateContainers });
  }
}

/** The app's containers are killed by others: everything ends here and now. */
export function cancelApp(state: EngineState, appId: Id<"app">, text: string): void {
  rememberCancelled(state, appId, text);
  for (const call of [...state.calls.values()]) {
    if (call.function.policy.appId === appId) endCall(state, call, text);
  }
}

/** For submissions that were on their way; later ones are refused by the app's stored state. */
function rememberCancelled(state: EngineState, appId: Id<"app">, text: string): void {
  for (const oldest of state.cancelledApps.keys()) {
    if (state.cancelledApps.size < cancelledAppsKept) break;
    state.cancelledApps.delete(oldest);
  }
  state.cancelledApps.set(appId, text);
}

/** Ends every input of the call without asking anybody. */
export function endCall(state: EngineState, call: CallRecord, text: string): void {
  markCancelled(call, text);
  endWaiting(state, call);
  for (const input of call.unfinished) {
    if (input.phase === "running" || input.phase === "cancelling") terminate(state, input);
  }
}

/** The container had its time to answer: the input ends without it, and the container is not to be trusted with others. */
export function cancelOverdue(state: EngineState, input: InputRecord): void {
  const attempt = currentAttempt(input);
  if (attempt === undefined || input.attempt === undefined) return;
  state.effects.push({ type: "cancel", containerId: input.attempt.containerId, attempts: [attempt], terminateContainer: true });
  terminate(state, input);
}

function markCancelled(call: CallRecord, text: string): void {
  const next = transitionFunctionCall(call.state, "cancel");
  if (next !== "illegal") call.state = next;
  call.cancelText = text;
}

function endWaiting(state: EngineState, call: CallRecord): void {
  const queued = call.function.backlog.takeAll(call);
  if (state.plantedBug === "cancelForgetsQueued") return;
  for (const input of queued) terminate(state, input);
  for (const input of call.unfinished) {
    if (input.phase !== "delayed" && !call.function.parked.has(input)) continue;
    takeFromBacklog(state, input);
    terminate(state, input);
  }
}

function terminate(state: EngineState, input: InputRecord): void {
  const attempt = endAttempt(state, input);
  accept(state, input, { from: "engine", kind: "terminated", text: input.call.cancelText }, attempt);
}
