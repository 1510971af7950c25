/** Messages of calls to and from what the verbs speak. */
import { createHmac } from "node:crypto";
import { fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { ServiceError } from "@squall/core/errors";
import {
  type DataChunk,
  DataChunkSchema,
  type DataFormat,
  type FunctionGetOutputsItemSchema,
  FunctionInputSchema,
  type FunctionPutInputsItem,
  type FunctionPutInputsResponseItemSchema,
} from "@squall/protocol/modal";
import type { OutputRecord } from "@squall/services/function-call/output-log";
import type { InputToSubmit } from "@squall/services/function-call/prepare-inputs";
import type { StoredChunk } from "@squall/services/function-call/read-chunks";
import { decodeResult } from "./result.ts";

/** Clients send what is larger than 2 MiB as a blob. Far below what a message may have, since inputs go on to workers in one. */
const maxInputBytes = 16 << 20;

/** The input itself stays the client's message, unread: fields that we do not know reach the container. */
export function inputToSubmit({ idx, input }: FunctionPutInputsItem): InputToSubmit {
  if (input === undefined) throw new ServiceError("invalidArgument", `Input ${idx} is empty.`);
  const payload = toBinary(FunctionInputSchema, input);
  if (payload.length > maxInputBytes)
    throw new ServiceError("invalidArgument", `Input ${idx} has ${payload.length} bytes; more than ${maxInputBytes} travel as a blob.`);
  return { idx, payload };
}

/** `retry_count` is always 0: retries happen here, and the client drops an output whose count is not its own. */
export function outputItem(record: OutputRecord): MessageInitShape<typeof FunctionGetOutputsItemSchema> {
  return {
    result: decodeResult(record.result),
    idx: record.idx,
    inputId: record.inputId,
    dataFormat: asDataFormat(record.dataFormat),
    taskId: record.containerId ?? "",
    inputStartedAt: record.startedAtMs / 1000,
    outputCreatedAt: record.createdAtMs / 1000,
    retryCount: 0,
  };
}

/** Stored as the container sent it; protobuf passes numbers that it does not know. */
function asDataFormat(value: number): DataFormat {
  return value as DataFormat;
}

/** `<n>-0`, as the client hands it back; "0-0" and nothing mean the start. */
export function entryId(sequence: number): string {
  return `${sequence}-0`;
}

export function sequenceOf(entry: string): number {
  if (entry === "") return 0;
  const match = /^(\d{1,15})-\d+$/.exec(entry);
  if (match === null) throw new ServiceError("invalidArgument", `Not an entry id: ${JSON.stringify(entry.slice(0, 40))}`);
  return Number(match[1]);
}

export function chunkMessage({ chunk }: StoredChunk): DataChunk {
  return fromBinary(DataChunkSchema, chunk);
}

/** Clients take tokens apart: an input's must be a JWT whose payload has `idx`. */
export class CallTokens {
  readonly #key: Uint8Array;

  constructor(key: Uint8Array) {
    this.#key = key;
  }

  forCall(callId: string): string {
    return this.#sign({ function_call_id: callId });
  }

  forInput(callId: string, { idx, inputId }: { readonly idx: number; readonly inputId: string }): MessageInitShape<typeof FunctionPutInputsResponseItemSchema> {
    return { idx, inputId, inputJwt: this.#sign({ idx, input_id: inputId, function_call_id: callId }) };
  }

  #sign(payload: object): string {
    const text = `${jwtHeader}.${base64url(JSON.stringify(payload))}`;
    return `${text}.${createHmac("sha256", this.#key).update(text).digest("base64url")}`;
  }
}

const jwtHeader = base64url(JSON.stringify({ alg: "HS256", typ: "JWT" }));

function base64url(text: string): string {
  return Buffer.from(text).toString("base64url");
}
