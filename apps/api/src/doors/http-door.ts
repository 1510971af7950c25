/** Everything on the public port that is not gRPC: health, blobs, objects for agents, and RPCs as Connect+JSON. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { connectDoor } from "@squall/grpc/connect-door";
import type { HandlerTable, OnHandlerFault } from "@squall/grpc/handler-table";
import type { ServiceDeps } from "@squall/services/context";
import type { Peer } from "../peer.ts";
import { type BlobDoorDeps, serveBlob } from "./blobs.ts";
import { answerError, answerJson } from "./http-answer.ts";
import { serveInternalObject } from "./internal-objects.ts";

export interface HttpDoorDeps extends BlobDoorDeps, Pick<ServiceDeps, "log"> {
  readonly table: HandlerTable;
  readonly onFault: OnHandlerFault;
  readonly health: () => unknown;
  /** How long a caller may take to send the head of a request; 60 s but in tests. */
  readonly headWithinMs?: number;
}

// A message in JSON is a person's or a script's; uploads go to /blobs.
const maxJsonBytes = 16 * 1024 * 1024;
// Longer than the clients' own pools keep a connection, so that none is closed while a request is on its way.
const keepAliveTimeoutMs = 75_000;

type Route = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

/** An HTTP/1.1 server that is handed its connections. */
export function createHttpDoor(deps: HttpDoorDeps): Server {
  const rpc = connectDoor({ table: deps.table, onFault: deps.onFault, peerOf, otherwise: answerUnknown, maxMessageBytes: maxJsonBytes });
  const routes: readonly (readonly [prefix: string, Route])[] = [
    ["/blobs/", (request, response) => serveBlob(request, response, deps)],
    ["/internal/objects/", (request, response) => serveInternalObject(request, response, deps)],
  ];
  const headersTimeout = deps.headWithinMs ?? 60_000;
  const timeouts = { requestTimeout: 0, headersTimeout, connectionsCheckingInterval: headersTimeout / 2, keepAliveTimeout: keepAliveTimeoutMs };
  const server = createServer(timeouts, (request, response) => {
    response.on("error", () => {}); // the caller went away
    if (request.url === "/healthz") return answerJson(response, deps.health());
    const route = routes.find(([prefix]) => request.url?.startsWith(prefix))?.[1];
    if (!route) return rpc(request, response);
    route(request, response).catch((error: unknown) => {
      deps.log.error({ err: error, method: request.method, path: request.url?.split("?")[0] }, "http request failed");
      answerError(response, 500, { code: "internal", message: "internal error" });
    });
  });
  server.emit("listening"); // a server that is handed its connections never listens, and looks after slow callers from that event on only
  return server;
}

function peerOf(request: IncomingMessage): Peer {
  return { kind: "public", remoteAddress: remoteAddressOf(request.socket) };
}

export function remoteAddressOf(socket: Socket): string {
  return socket.remoteAddress ?? "unknown";
}

function answerUnknown(request: IncomingMessage, response: ServerResponse): void {
  const path = request.url?.split("?")[0] ?? "/";
  const message = `nothing at ${path}. This is a Squall server: point a Modal client at it with MODAL_SERVER_URL, or call an RPC with POST /modal.client.ModalClient/<Method> and a JSON body.`;
  answerError(response, 404, { code: "not_found", message });
}
