import http2, { type Http2Server, type IncomingHttpHeaders, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import type { Duplex } from "node:stream";
import { defaultMaxMessageBytes } from "./framing.ts";
import { GrpcError, statusCode } from "./handler.ts";
import type { HandlerTable, OnHandlerFault } from "./handler-table.ts";
import { refuseStream, serveStream } from "./server-stream.ts";

export interface GrpcServerOptions {
  readonly table: HandlerTable;
  /** Told of what a handler threw that was no GrpcError: the caller is not. */
  readonly onFault: OnHandlerFault;
  readonly maxMessageBytes?: number;
  /** Open calls per connection. Long polls count; clients wait for a free one. */
  readonly maxStreamsPerConnection?: number;
  /** HTTP/2 requests that are not gRPC; 415 without it. */
  readonly otherwise?: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void;
}

// A fast upload over a line of 100 ms and 1 Gbit/s needs 12 MB in flight; the stock clients use 64 MiB per connection themselves.
const streamWindowBytes = 16 * 1024 * 1024;
const sessionWindowBytes = 64 * 1024 * 1024;
const sessionMemoryMegabytes = 1000; // Node's default of 10 ends a connection with a few hundred long polls

/** Serves a table on connections that it is handed: it listens nowhere itself. */
export class GrpcServer {
  readonly #http: Http2Server;
  readonly #options: GrpcServerOptions;
  readonly #peers = new WeakMap<object, unknown>();
  readonly #openStreams = new Map<ServerHttp2Session, number>();
  #isClosing = false;

  constructor(options: GrpcServerOptions) {
    this.#options = options;
    this.#http = http2.createServer({
      maxSessionMemory: sessionMemoryMegabytes,
      settings: { initialWindowSize: streamWindowBytes, maxConcurrentStreams: options.maxStreamsPerConnection ?? 4096 },
    });
    this.#http.on("session", (session) => this.#onSession(session));
    this.#http.on("stream", (stream, headers) => this.#onStream(stream, headers));
  }

  /** Takes over a connection whose next bytes are the HTTP/2 preface. `peer` becomes `CallInfo.peer` of its calls. */
  accept(socket: Duplex, peer: unknown): void {
    this.#http.once("session", (session) => this.#peers.set(session, peer)); // emitted before `emit` returns
    this.#http.emit("connection", socket);
  }

  /** Connections without open calls end now, the others with their last call or after `graceMs`. Resolves when none is left. */
  async close(graceMs: number): Promise<void> {
    this.#isClosing = true;
    const sessions = [...this.#openStreams.keys()];
    const gone = Promise.all(sessions.map((session) => new Promise<void>((resolve) => session.once("close", resolve))));
    for (const session of sessions) this.#closeIfIdle(session);
    const timer = setTimeout(() => {
      for (const session of sessions) session.destroy();
    }, graceMs);
    await gone;
    clearTimeout(timer);
  }

  #onSession(session: ServerHttp2Session): void {
    this.#openStreams.set(session, 0);
    session.setLocalWindowSize(sessionWindowBytes);
    session.on("error", () => {}); // a broken connection; each of its calls is told by its own stream
    session.once("close", () => this.#openStreams.delete(session));
  }

  #onStream(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    stream.on("error", () => {}); // followed by "close", which ends the call
    this.#count(stream);
    const contentType = headers["content-type"] ?? "";
    if (!contentType.startsWith("application/grpc") || contentType.startsWith("application/grpc-web")) {
      if (this.#options.otherwise) this.#options.otherwise(stream, headers);
      else stream.respond({ ":status": 415 }, { endStream: true });
      return;
    }
    const path = headers[":path"] ?? "";
    const entry = this.#options.table.find(path);
    if (!entry) {
      refuseStream(stream, new GrpcError(statusCode.unimplemented, this.#options.table.unknownText(path)));
      return;
    }
    const peer = stream.session ? this.#peers.get(stream.session) : undefined;
    serveStream(stream, headers, entry, { peer, onFault: this.#options.onFault, maxMessageBytes: this.#options.maxMessageBytes ?? defaultMaxMessageBytes });
  }

  #count(stream: ServerHttp2Stream): void {
    const { session } = stream;
    if (!isServerSession(session)) return;
    this.#openStreams.set(session, (this.#openStreams.get(session) ?? 0) + 1);
    stream.once("close", () => {
      const open = this.#openStreams.get(session);
      if (open === undefined) return;
      this.#openStreams.set(session, open - 1);
      if (this.#isClosing) this.#closeIfIdle(session);
    });
  }

  #closeIfIdle(session: ServerHttp2Session): void {
    if (this.#openStreams.get(session) === 0) session.close();
  }
}

// A server's stream has a server's session; Node's types say only that it is a session.
function isServerSession(session: unknown): session is ServerHttp2Session {
  return session !== undefined && session !== null;
}
