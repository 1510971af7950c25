/**
 * The RPCs of a container's runtime that its agent answers itself: the hot path (hello, heartbeat, inputs, outputs, generator chunks) and its end.
 * Nothing here asks the control plane and waits: inputs were pushed, outputs go to the outbox.
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type CallInfo, GrpcError, type Implementation, statusCode } from "@squall/grpc/handler";
import { DataChunksSchema, InitFailureSchema, type Input, OutputOrigin, OutputSchema } from "@squall/protocol/agent";
import {
  DataChunkSchema,
  type FunctionCallInvocationType,
  FunctionGetInputsItemSchema,
  type FunctionGetInputsRequest,
  type FunctionGetInputsResponse,
  FunctionGetInputsResponseSchema,
  FunctionInputSchema,
  type FunctionPutOutputsItem,
  type GenericResult,
  GenericResult_GenericStatus,
  GenericResultSchema,
  type ModalClient,
} from "@squall/protocol/modal";
import type { OutboxItem } from "../outbox.ts";
import type { InputBroker } from "./input-broker.ts";

/** The container behind a door, as its procedures see it. */
export interface GatewayContainer {
  readonly containerId: string;
  readonly maxConcurrentInputs: number;
  readonly broker: InputBroker;
  /** Waits while the outbox is full; for a generator's chunks until the control plane has stored them. */
  send(item: OutboxItem): Promise<void>;
  saidHello(): void;
  askedForInputs(): void;
  /** Ids of inputs to cancel, at once if there are some, else when some come or after `withinMs` (then empty). */
  nextCancellation(withinMs: number, signal: AbortSignal): Promise<readonly string[]>;
  /** The container is done with this input, whether or not its answer still counts. */
  answered(inputId: string): void;
  /** The container (or something inside it) asks to be stopped gracefully. */
  stopAsked(): void;
  /** False after the first failure: later ones are dropped. */
  claimInitFailure(): boolean;
}

// The runtime beats every 15 s and gives an attempt 15.1 s; while no beat is open a cancellation has to wait.
const heartbeatHoldMs = 14_000;
// Stored as a 16-bit number.
const maxDataFormat = 32_767;

type LocalProcedure =
  | "containerHello"
  | "containerHeartbeat"
  | "functionGetInputs"
  | "functionPutOutputs"
  | "functionCallPutDataOut"
  | "functionGetDynamicConcurrency"
  | "taskResult";

export type LocalProcedures = Required<Pick<Implementation<typeof ModalClient>, LocalProcedure>>;

/** `containerOf` names the container behind a call's door; it throws when that has ended. */
export function localProcedures(containerOf: (info: CallInfo) => GatewayContainer): LocalProcedures {
  return {
    containerHello: async (_request, info) => {
      containerOf(info).saidHello();
      return {};
    },
    containerHeartbeat: async (_request, info) => {
      const container = containerOf(info);
      const inputIds = await container.nextCancellation(heartbeatHoldMs, info.signal);
      return inputIds.length > 0 ? { cancelInputEvent: { inputIds: [...inputIds] } } : {};
    },
    functionGetInputs: async (request, info) => {
      const container = containerOf(info);
      container.askedForInputs();
      return getInputs(container, request, info.signal);
    },
    functionPutOutputs: async (request, info) => {
      const container = containerOf(info);
      for (const output of request.outputs) await putOutput(container, output);
      return {};
    },
    functionCallPutDataOut: async (request, info) => {
      const container = containerOf(info);
      const functionCallId = request.callInfo.case === "functionCallId" ? request.callInfo.value : "";
      const input = container.broker.findByFunctionCall(functionCallId);
      if (!input) throw new GrpcError(statusCode.failedPrecondition, `this container runs no input of ${functionCallId || "that call"}`);
      const chunks = request.dataChunks.map((chunk) => toBinary(DataChunkSchema, chunk));
      const message = create(DataChunksSchema, { containerId: container.containerId, attempt: input.attempt, functionCallId, chunks });
      await container.send({ kind: "dataChunks", containerId: container.containerId, chunks: message });
      return {};
    },
    functionGetDynamicConcurrency: async (request) => ({ concurrency: request.targetConcurrency }),
    taskResult: async (request, info) => {
      const container = containerOf(info);
      if (request.result && container.claimInitFailure()) {
        const result = toBinary(GenericResultSchema, request.result);
        const failure = create(InitFailureSchema, { containerId: container.containerId, result });
        await container.send({ kind: "initFailure", containerId: container.containerId, failure });
      }
      return {};
    },
  };
}

async function getInputs(container: GatewayContainer, request: FunctionGetInputsRequest, signal: AbortSignal): Promise<FunctionGetInputsResponse> {
  const taken = await container.broker.take({
    maxInputs: Math.max(1, request.batchMaxSize),
    concurrency: Math.max(1, Math.min(container.maxConcurrentInputs, request.inputConcurrency || 1)),
    lingerMs: request.batchMaxSize > 1 ? Number(request.batchLingerMs) : 0,
    signal,
  });
  if (taken.kind === "killSwitch") return create(FunctionGetInputsResponseSchema, { inputs: [{ killSwitch: true }] });
  return create(FunctionGetInputsResponseSchema, { inputs: taken.inputs.map(inputItem) });
}

function inputItem(input: Input) {
  return create(FunctionGetInputsItemSchema, {
    inputId: input.attempt?.inputId ?? "",
    input: fromBinary(FunctionInputSchema, input.input),
    functionCallId: input.functionCallId,
    functionCallInvocationType: asInvocationType(input.invocationType),
    retryCount: input.retryCount,
  });
}

/** A time as a container tells it, at most some 285,000 years: what does not fit the wire would take the outputs of other containers with it. */
function millisecondsOf(seconds: number): bigint {
  return BigInt(Math.min(Number.MAX_SAFE_INTEGER, Math.max(0, Math.round(seconds * 1000) || 0)));
}

/** An output of an input that timed out, was cancelled or was given to somebody else since is dropped: it was answered already. */
async function putOutput(container: GatewayContainer, item: FunctionPutOutputsItem): Promise<void> {
  if (item.dataFormat < 0 || item.dataFormat > maxDataFormat) throw new GrpcError(statusCode.invalidArgument, `no data format ${item.dataFormat}`);
  container.answered(item.inputId);
  const input = container.broker.find(item.inputId, item.retryCount);
  if (!input || !item.result) return;
  const output = create(OutputSchema, {
    containerId: container.containerId,
    attempt: input.attempt,
    result: toBinary(GenericResultSchema, worded(item.result)),
    dataFormat: item.dataFormat,
    startedAtMs: millisecondsOf(item.inputStartedAt),
    createdAtMs: millisecondsOf(item.outputCreatedAt),
    origin: OutputOrigin.CONTAINER,
  });
  await container.send({ kind: "output", containerId: container.containerId, output });
}

/** The runtime ends a cancelled input without a word, and the caller would read an error without one. */
function worded(result: GenericResult): GenericResult {
  if (result.status === GenericResult_GenericStatus.TERMINATED && result.exception === "") return { ...result, exception: "The input was cancelled" };
  return result;
}

/** Open enum: a value that we do not know passes through to a client that may. */
function asInvocationType(value: number): FunctionCallInvocationType {
  return value as FunctionCallInvocationType;
}
