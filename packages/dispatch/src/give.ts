/** Waiting inputs meet waiting containers. */
import type { Delivery } from "./events.ts";
import { type EngineState, type FunctionRecord, type InputRecord, type InputRequest, moveInput, touch } from "./state.ts";

/** Gives out what can be given. The container that asked last is served first, so that surplus ones fall idle and can be stopped. */
export function pump(state: EngineState, record: FunctionRecord): void {
  if (!state.isRecovered) return;
  while (record.backlog.size > 0) {
    const request = newestRequest(state, record);
    if (request === undefined || mustLinger(state, record, request)) return;
    record.requests.pop();
    giveTo(state, record, request);
  }
}

function newestRequest(state: EngineState, record: FunctionRecord): InputRequest | undefined {
  for (;;) {
    const request = record.requests.at(-1);
    if (request === undefined || state.containers.get(request.containerId)?.request === request) return request;
    record.requests.pop();
  }
}

/** A batched function waits a little for a full batch. */
function mustLinger(state: EngineState, record: FunctionRecord, request: InputRequest): boolean {
  const { batchLingerMs } = record.policy;
  if (batchLingerMs <= 0 || record.backlog.size >= request.slots) return false;
  let oldestMs = state.nowMs;
  for (const head of record.backlog.heads(32)) oldestMs = Math.min(oldestMs, head.queuedAtMs);
  const dueMs = oldestMs + batchLingerMs;
  if (dueMs <= state.nowMs) return false;
  if (record.lingerTimerAtMs !== dueMs) {
    record.lingerTimerAtMs = dueMs;
    state.timers.add(dueMs, { type: "linger", functionId: record.policy.functionId });
  }
  return true;
}

function giveTo(state: EngineState, record: FunctionRecord, request: InputRequest): void {
  const container = state.containers.get(request.containerId);
  if (container === undefined) return;
  container.request = undefined;
  const deliveries: Delivery[] = [];
  while (deliveries.length < request.slots) {
    const input = record.backlog.take();
    if (input === undefined) break;
    moveInput(input, "give");
    const counter = ++state.counter;
    assign(state, input, { epoch: state.epoch, counter, containerId: request.containerId });
    const { callId, invocation } = input.call;
    deliveries.push({ attempt: { inputId: input.inputId, epoch: state.epoch, counter }, callId, invocation, retryCount: input.retryCount });
  }
  state.effects.push({ type: "give", containerId: request.containerId, requestId: request.requestId, inputs: deliveries });
}

/** Notes that a container has the input. */
export function assign(state: EngineState, input: InputRecord, attempt: NonNullable<InputRecord["attempt"]>): void {
  input.attempt = attempt;
  state.containers.get(attempt.containerId)?.running.add(input);
  input.call.function.running++;
  touch(state, input.call.function);
}
