/** The handler table as Connect (JSON or binary) and gRPC-web over HTTP/1.1: for curl and for networks that block gRPC. Not a data path. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { Code, ConnectError, type ConnectRouter, createContextKey, createContextValues, type HandlerContext } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import type { CallInfo } from "./handler.ts";
import type { HandlerTable, OnHandlerFault, TableEntry } from "./handler-table.ts";
import { toldOf } from "./status.ts";

export interface ConnectDoorOptions {
  readonly table: HandlerTable;
  readonly peerOf: (request: IncomingMessage) => unknown;
  readonly onFault: OnHandlerFault;
  /** Requests whose path is no method of a known service. */
  readonly otherwise: (request: IncomingMessage, response: ServerResponse) => void;
  readonly maxMessageBytes: number;
}

const peerKey = createContextKey<unknown>(undefined);

/** A listener for `http.Server`'s "request". */
export function connectDoor({
  table,
  peerOf,
  onFault,
  otherwise,
  maxMessageBytes,
}: ConnectDoorOptions): (request: IncomingMessage, response: ServerResponse) => void {
  return connectNodeAdapter({
    routes: (router) => addRoutes(router, table, onFault),
    contextValues: (request) => createContextValues().set(peerKey, peerOf(asIncoming(request))),
    fallback: (request, response) => otherwise(asIncoming(request), asResponse(response)),
    readMaxBytes: maxMessageBytes,
    writeMaxBytes: maxMessageBytes,
  });
}

function addRoutes(router: ConnectRouter, table: HandlerTable, onFault: OnHandlerFault): void {
  for (const service of table.services) {
    for (const method of service.methods) {
      const path = `/${service.typeName}/${method.name}`;
      const entry = table.find(path);
      const implementation = entry ? implement(entry, onFault) : () => Promise.reject(new ConnectError(table.unknownText(path), Code.Unimplemented));
      router.rpc(method, asImplementation(implementation));
    }
  }
}

function implement(entry: TableEntry, onFault: OnHandlerFault) {
  const handler = asFunction(entry.handler);
  const refuse = (error: unknown, info: CallInfo) => {
    const told = toldOf(error);
    if (told.cause === error) onFault({ error, told, info });
    const refusal = new ConnectError(told.message, asCode(told.code));
    refusal.details = told.details.map(({ typeName, value }) => ({ type: typeName, value: Uint8Array.from(value) }));
    return refusal;
  };
  if (entry.kind === "unary" || entry.kind === "client_streaming") {
    return async (request: unknown, context: HandlerContext) => {
      const info = infoOf(context);
      try {
        return await handler(request, info);
      } catch (error) {
        throw refuse(error, info);
      }
    };
  }
  return async function* (request: unknown, context: HandlerContext) {
    const info = infoOf(context);
    try {
      yield* asStream(handler(request, info));
    } catch (error) {
      throw refuse(error, info);
    }
  };
}

function infoOf(context: HandlerContext): CallInfo {
  const headers: Record<string, string> = {};
  context.requestHeader.forEach((value, name) => {
    headers[name] = value;
  });
  if (headers["host"] !== undefined) headers[":authority"] = headers["host"];
  return {
    path: `/${context.service.typeName}/${context.method.name}`,
    headers,
    peer: context.values.get(peerKey),
    signal: context.signal,
    timeoutMs: () => context.timeoutMs(),
    setTrailer: (name, value) => context.responseTrailer.set(name, value),
    setHeader: (name, value) => context.responseHeader.set(name, value),
  };
}

// Connect's codes are gRPC's numbers without 0, and a GrpcError is never OK.
function asCode(code: number): Code {
  return code as Code;
}

// The four shapes of handlers differ in what they take and give; the entry's kind, which the caller has looked at, says which it is.
function asFunction(handler: TableEntry["handler"]): (request: unknown, info: CallInfo) => unknown {
  return handler as (request: unknown, info: CallInfo) => unknown;
}
function asStream(value: unknown): AsyncIterable<unknown> {
  return value as AsyncIterable<unknown>;
}
function asImplementation(value: unknown): Parameters<ConnectRouter["rpc"]>[1] {
  return value as Parameters<ConnectRouter["rpc"]>[1];
}

// connect-node types both HTTP versions as one; this listener is given to an `http.Server` only.
function asIncoming(request: unknown): IncomingMessage {
  return request as IncomingMessage;
}
function asResponse(response: unknown): ServerResponse {
  return response as ServerResponse;
}
