/** RPCs of calls: the same for people's clients and, with `caller = container`, for calls from inside functions. */

import { ServiceError } from "@squall/core/errors";
import { isId } from "@squall/core/ids";
import { FunctionCallType, type FunctionGetOutputsRequest, type ModalClient } from "@squall/protocol/modal";
import { addInputs } from "@squall/services/function-call/add-inputs";
import { type AwaitedOutputs, awaitOutputs } from "@squall/services/function-call/await-outputs";
import { cancelCall } from "@squall/services/function-call/cancel";
import { readStats } from "@squall/services/function-call/current-stats";
import { finishInputs } from "@squall/services/function-call/finish-inputs";
import { getCall, getCallSummary, listCalls } from "@squall/services/function-call/list";
import { readChunks } from "@squall/services/function-call/read-chunks";
import { submitCall } from "@squall/services/function-call/submit";
import type { Deps } from "../deps.ts";
import { type Call, type Procedures, procedure } from "../procedure.ts";
import { CallTokens, chunkMessage, entryId, inputToSubmit, outputItem, sequenceOf } from "../wire/function-call.ts";
import { callInfoMessage } from "../wire/function-call-info.ts";

const read = { resource: "functionCall", action: "read" } as const;
const write = { resource: "functionCall", action: "write" } as const;

/** Inputs that a map may have in flight; the client waits with the rest. */
const maxInputsOutstanding = 1000;
/** How long a caller waits before it is told why nothing runs. */
const explainAfterMs = 2_000;
/** The same while a container of the function is starting: cold starts are nothing to worry about. */
const explainStartAfterMs = 20_000;
/** Streams of chunks end when nothing came for this long; the client opens the next at once. */
const chunkIdleMs = 55_000;
const maxTimeoutMs = 120_000;

type CallDeps = Pick<Deps, "calls" | "cluster" | "dispatch" | "signingKey">;
type OutputDeps = Pick<Deps, "calls" | "cluster"> & { readonly explained: Explained };

export function functionCallProcedures(deps: CallDeps) {
  const { calls } = deps;
  const tokens = new CallTokens(deps.signingKey("function-call"));
  const explained = new Explained();
  return {
    functionMap: procedure(write, async (request, { ctx }) => {
      const { callId, inputs, target } = await submitCall({
        ctx,
        input: {
          functionId: request.functionId,
          kind: request.functionCallType === FunctionCallType.MAP ? "map" : "unary",
          invocation: request.functionCallInvocationType,
          callerInputId: request.parentInputId || undefined,
          inputs: request.pipelinedInputs.map(inputToSubmit),
        },
        calls,
      });
      const { retry } = target.policy;
      return {
        functionCallId: callId,
        pipelinedInputs: inputs.map((input) => tokens.forInput(callId, input)),
        functionCallJwt: tokens.forCall(callId),
        retryPolicy: { retries: retry.max, initialDelayMs: retry.initialDelayMs, maxDelayMs: retry.maxDelayMs, backoffCoefficient: retry.backoff },
        // Retries are ours: the caller sees final outputs only.
        syncClientRetriesEnabled: false,
        maxInputsOutstanding,
      };
    }),

    functionPutInputs: procedure(write, async (request, { ctx }) => {
      const { functionCallId: callId } = request;
      const inputs = await addInputs({ ctx, input: { callId, inputs: request.inputs.map(inputToSubmit) }, calls });
      return { inputs: inputs.map((input) => tokens.forInput(callId, input)) };
    }),

    functionFinishInputs: procedure(write, async (request, { ctx }) => {
      await finishInputs({ ctx, input: { callId: request.functionCallId, numInputs: request.numInputs }, calls });
      return {};
    }),

    functionRetryInputs: procedure(write, async () => {
      throw new ServiceError("failedPrecondition", "Retries happen on the server: wait for the outputs of the call.");
    }),

    functionGetOutputs: procedure(read, async (request, call) => {
      const { outputs, lastSequence, unfinishedInputs } = await outputsFor({ ...deps, explained }, request, call);
      return {
        outputs: outputs.map(outputItem),
        idxs: outputs.map((output) => output.idx),
        lastEntryId: entryId(lastSequence),
        numUnfinishedInputs: unfinishedInputs,
      };
    }),

    functionCallCancel: procedure(write, async (request, { ctx }) => {
      await cancelCall({ ctx, input: { callId: request.functionCallId, terminateContainers: request.terminateContainers }, calls });
      return {};
    }),

    functionCallFromId: procedure(read, async (request, { ctx }) => {
      const summary = await getCallSummary({ ctx, input: { callId: request.functionCallId }, calls });
      const { callId, functionId, appId } = await getCall({ ctx, input: { callId: request.functionCallId }, calls });
      return { functionCallId: callId, numInputs: summary.totalInputs, metadata: { appId, functionId } };
    }),

    functionCallGetInfo: procedure(read, async (request, { ctx }) => {
      return { info: callInfoMessage(await getCallSummary({ ctx, input: { callId: request.functionCallId }, calls })) };
    }),

    functionCallList: procedure(read, async (request, { ctx }) => {
      const summaries = await listCalls({ ctx, input: { functionId: request.functionId }, calls });
      return { functionCalls: summaries.map(callInfoMessage) };
    }),

    functionCallGetDataOut: procedure(read, async function* (request, { ctx, info }) {
      if (request.callInfo.case !== "functionCallId") throw new ServiceError("invalidArgument", "Ask by function_call_id.");
      const input = { callId: request.callInfo.value, afterIndex: Number(request.lastIndex), idleMs: chunkIdleMs };
      for await (const chunk of readChunks({ ctx, input, calls, signal: info.signal })) yield chunkMessage(chunk);
    }),

    functionGetCurrentStats: procedure({ resource: "function", action: "read" }, async (request, { ctx }) => {
      const { containers } = await readStats({ ctx, input: { functionId: request.functionId }, calls });
      const demand = deps.dispatch.demand().find((each) => each.functionId === request.functionId);
      return { backlog: demand?.queuedInputs ?? 0, numRunningInputs: demand?.runningInputs ?? 0, numTotalTasks: containers };
    }),
  } satisfies Procedures<typeof ModalClient>;
}

/** The wait of one request. Who waits long for a container is told why, once per call: the answer comes early and carries the text. */
async function outputsFor(deps: OutputDeps, request: FunctionGetOutputsRequest, call: Call): Promise<AwaitedOutputs> {
  const { ctx, info } = call;
  const { calls } = deps;
  const { functionCallId: callId, startIdx, endIdx, maxValues } = request;
  const timeoutMs = Math.min(maxTimeoutMs, Math.max(0, request.timeout * 1000));
  const afterSequence = sequenceOf(request.lastEntryId);
  const range = startIdx === undefined || endIdx === undefined ? undefined : { first: startIdx, last: endIdx };
  const ask = (after: number, waitMs: number) =>
    awaitOutputs({ ctx, input: { callId, afterSequence: after, timeoutMs: waitMs, range, maxValues }, calls, signal: info.signal });

  if (isFinalAcknowledgement(request)) return await acknowledge(deps, callId, await ask(Number.MAX_SAFE_INTEGER, 0));
  const startedMs = performance.now();
  const remainingMs = () => Math.max(0, timeoutMs - (performance.now() - startedMs));
  let answer = await ask(afterSequence, Math.min(timeoutMs, explainAfterMs));
  if (answer.outputs.length === 0 && (await isStarting(deps, callId))) answer = await ask(answer.lastSequence, Math.min(remainingMs(), explainStartAfterMs));
  const isOver = answer.outputs.length > 0 || remainingMs() === 0 || info.signal.aborted;
  if (isOver || (await explain(deps, callId, call))) return answer;
  return await ask(answer.lastSequence, remainingMs());
}

/** Whether a container of the call's function is about to take inputs. */
async function isStarting({ calls, cluster }: OutputDeps, callId: string): Promise<boolean> {
  if (!isId("functionCall", callId) || calls.isRunning(callId)) return false;
  const info = await calls.infos.get(callId);
  return info !== undefined && cluster.isStarting(info.functionId);
}

/** A map ends by asking for everything once more without waiting, only to say that it has it. */
function isFinalAcknowledgement({ clearOnSuccess, timeout, lastEntryId }: FunctionGetOutputsRequest): boolean {
  return clearOnSuccess && timeout === 0 && sequenceOf(lastEntryId) === 0;
}

async function acknowledge({ calls }: OutputDeps, callId: string, answer: AwaitedOutputs): Promise<AwaitedOutputs> {
  if (isId("functionCall", callId)) calls.outputs.forget(callId);
  return { ...answer, lastSequence: 0 };
}

/** Whether there was something to say: why the call's function has no container. */
async function explain({ calls, cluster, explained }: OutputDeps, callId: string, { warn }: Call): Promise<boolean> {
  if (!isId("functionCall", callId) || calls.isRunning(callId) || calls.unfinishedInputs(callId) === 0) return false;
  const info = await calls.infos.get(callId);
  const reasons = info === undefined ? [] : cluster.whyWaiting(info.functionId);
  if (reasons.length === 0 || !explained.isFirst(callId)) return false;
  warn(`Waiting for a container: ${reasons.join(" ")}`);
  return true;
}

/** Calls whose callers were told why they wait. Forgetting one costs a repeated sentence. */
class Explained {
  readonly #calls = new Set<string>();

  isFirst(callId: string): boolean {
    if (this.#calls.has(callId)) return false;
    if (this.#calls.size >= 10_000) this.#calls.clear();
    this.#calls.add(callId);
    return true;
  }
}
