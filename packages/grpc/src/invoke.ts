/** Runs a handler for a call whose messages come as bytes by some other way than HTTP. */
import { create, type DescMethod, fromBinary, type Message, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type CallInfo, GrpcError, statusCode } from "./handler.ts";
import type { TableEntry } from "./handler-table.ts";

/** The answer's messages. Throws what the handler throws, and an INVALID_ARGUMENT `GrpcError` for requests that are none. */
export async function* invoke(entry: TableEntry, requests: AsyncIterable<Uint8Array>, info: CallInfo): AsyncIterable<Uint8Array> {
  const { method } = entry;
  switch (entry.kind) {
    case "unary":
      yield encode(method, await entry.handler(await readOne(method, requests), info));
      return;
    case "server_streaming":
      for await (const answer of entry.handler(await readOne(method, requests), info)) yield encode(method, answer);
      return;
    case "client_streaming":
      yield encode(method, await entry.handler(readMany(method, requests), info));
      return;
    case "bidi_streaming":
      for await (const answer of entry.handler(readMany(method, requests), info)) yield encode(method, answer);
      return;
    default:
      entry satisfies never;
  }
}

async function readOne(method: DescMethod, requests: AsyncIterable<Uint8Array>): Promise<Message> {
  let only: Uint8Array | undefined;
  for await (const request of requests) {
    if (only) throw new GrpcError(statusCode.invalidArgument, "malformed request: more than one message");
    only = request;
  }
  if (!only) throw new GrpcError(statusCode.invalidArgument, "malformed request: no message");
  return decode(method, only);
}

async function* readMany(method: DescMethod, requests: AsyncIterable<Uint8Array>): AsyncIterable<Message> {
  for await (const request of requests) yield decode(method, request);
}

function decode(method: DescMethod, bytes: Uint8Array): Message {
  try {
    return fromBinary(method.input, bytes);
  } catch (error) {
    throw new GrpcError(statusCode.invalidArgument, `malformed request: not a ${method.input.typeName}`, { cause: error });
  }
}

function encode(method: DescMethod, message: MessageInitShape<DescMethod["output"]>): Uint8Array {
  return toBinary(method.output, create(method.output, message));
}
