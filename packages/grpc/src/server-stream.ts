/** One call on one HTTP/2 stream. */
import http2, { type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import { create, fromBinary, type Message, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { FrameReader, frame } from "./framing.ts";
import { type CallInfo, GrpcError, statusCode } from "./handler.ts";
import type { OnHandlerFault, TableEntry } from "./handler-table.ts";
import { errorTrailers, okTrailers, toldOf } from "./status.ts";
import { maxTimerMs, parseTimeout } from "./timeout.ts";

export interface StreamOptions {
  readonly peer: unknown;
  readonly maxMessageBytes: number;
  readonly onFault: OnHandlerFault;
}

/** Runs `entry` for this stream: reads its messages, answers, and always ends the stream. */
export function serveStream(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, entry: TableEntry, options: StreamOptions): void {
  const call = new ServerStreamCall(stream, headers, options);
  switch (entry.kind) {
    case "unary":
      call.readOne(entry, (request) => call.answerOne(entry, entry.handler(request, call)));
      return;
    case "server_streaming":
      call.readOne(entry, (request) => call.answerMany(entry, entry.handler(request, call)));
      return;
    case "client_streaming":
      void call.guard(() => call.answerOne(entry, entry.handler(call.readMany(entry), call)));
      return;
    case "bidi_streaming":
      void call.guard(() => call.answerMany(entry, entry.handler(call.readMany(entry), call)));
      return;
    default:
      entry satisfies never;
  }
}

/** Ends a stream that nothing has answered yet. A peer that still sends is told to stop: it may be waiting for flow control without a deadline. */
export function refuseStream(stream: ServerHttp2Stream, error: GrpcError, trailers: Readonly<Record<string, string>> = {}): void {
  if (stream.destroyed || stream.closed || stream.headersSent) return;
  stream.respond({ ":status": 200, "content-type": "application/grpc", ...trailers, ...errorTrailers(error) }, { endStream: true });
  if (!stream.readableEnded) stream.close(http2.constants.NGHTTP2_NO_ERROR);
}

class ServerStreamCall implements CallInfo {
  readonly headers: CallInfo["headers"];
  readonly path: string;
  readonly peer: unknown;
  readonly #stream: ServerHttp2Stream;
  readonly #options: StreamOptions;
  readonly #deadlineAt: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #aborter: AbortController | undefined;
  #abortReason: (() => GrpcError) | undefined;
  #responseHeaders: Record<string, string> | undefined;
  #trailers: Record<string, string> | undefined;
  #status: Readonly<Record<string, string>> = okTrailers;

  constructor(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, options: StreamOptions) {
    this.#stream = stream;
    this.#options = options;
    this.headers = asStrings(headers);
    this.path = headers[":path"] ?? "";
    this.peer = options.peer;
    stream.on("close", () => this.#abort(callerGone));
    const timeoutMs = parseTimeout(this.headers["grpc-timeout"]);
    if (timeoutMs === undefined) return;
    this.#deadlineAt = performance.now() + timeoutMs;
    if (timeoutMs <= maxTimerMs) this.#timer = setTimeout(() => this.#timedOut(), timeoutMs);
  }

  get signal(): AbortSignal {
    if (!this.#aborter) {
      this.#aborter = new AbortController();
      if (this.#abortReason) this.#aborter.abort(this.#abortReason());
    }
    return this.#aborter.signal;
  }

  timeoutMs(): number | undefined {
    return this.#deadlineAt === undefined ? undefined : this.#deadlineAt - performance.now();
  }

  setTrailer(name: string, value: string): void {
    this.#trailers ??= {};
    this.#trailers[name] = value;
  }

  setHeader(name: string, value: string): void {
    this.#responseHeaders ??= {};
    this.#responseHeaders[name] = value;
  }

  /** Runs `act`; what it throws becomes the call's status. */
  async guard(act: () => Promise<void>): Promise<void> {
    try {
      await act();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Waits for the one request message, without the cost of a generator: most calls are unary. */
  readOne({ method }: TableEntry, act: (request: Message) => Promise<void>): void {
    const reader = new FrameReader(this.#options.maxMessageBytes);
    let request: Uint8Array | undefined;
    const refuse = (error: unknown) => {
      this.#stream.removeAllListeners("data").removeAllListeners("end");
      this.#fail(error);
    };
    this.#stream.on("data", (chunk: Buffer) => {
      try {
        reader.push(chunk);
        const message = reader.next();
        if (message && request) refuse(malformed("more than one message"));
        request ??= message;
      } catch (error) {
        refuse(error);
      }
    });
    this.#stream.on("end", () => {
      if (this.#stream.destroyed) return;
      const bytes = request;
      if (bytes === undefined || reader.isMidMessage) refuse(malformed("not one whole message"));
      else void this.guard(async () => act(parse(method, bytes)));
    });
  }

  async *readMany({ method }: TableEntry): AsyncIterable<Message> {
    const reader = new FrameReader(this.#options.maxMessageBytes);
    try {
      for await (const chunk of this.#stream.iterator({ destroyOnReturn: false })) {
        reader.push(chunk);
        for (let message = reader.next(); message; message = reader.next()) yield parse(method, message);
      }
    } catch (error) {
      throw this.#abortReason?.() ?? error;
    }
    if (reader.isMidMessage) throw malformed("the last message is not whole");
  }

  async answerOne({ method }: TableEntry, answer: Promise<MessageInitShape<typeof method.output>>): Promise<void> {
    const message = await answer;
    const bytes = frame(toBinary(method.output, create(method.output, message)));
    if (this.#stream.destroyed || this.#stream.headersSent) return;
    this.#respond();
    this.#finish(bytes);
  }

  async answerMany({ method }: TableEntry, answers: AsyncIterable<MessageInitShape<typeof method.output>>): Promise<void> {
    for await (const message of answers) {
      if (this.#stream.destroyed || this.#stream.writableEnded) return;
      if (!this.#stream.headersSent) this.#respond();
      const bytes = frame(toBinary(method.output, create(method.output, message)));
      if (!this.#stream.write(bytes)) await this.#drained();
    }
    if (this.#stream.destroyed || this.#stream.writableEnded) return;
    if (!this.#stream.headersSent) this.#respond();
    this.#finish();
  }

  #respond(): void {
    this.#stream.respond({ ":status": 200, "content-type": "application/grpc", ...this.#responseHeaders }, { waitForTrailers: true });
    this.#stream.once("wantTrailers", () => this.#stream.sendTrailers({ ...this.#trailers, ...this.#status }));
  }

  #finish(last?: Buffer): void {
    clearTimeout(this.#timer);
    const stream = this.#stream;
    if (last) stream.end(last);
    else stream.end();
    if (stream.readableEnded) return;
    stream.resume();
    // A caller that still sends need not; but it must have our trailers first, and "finish" may come before they are asked for.
    stream.once("wantTrailers", () => setImmediate(() => stream.close(http2.constants.NGHTTP2_NO_ERROR)));
  }

  #fail(error: unknown): void {
    clearTimeout(this.#timer);
    const told = toldOf(error);
    const isOurs = told.cause === error;
    if (isOurs && !this.#stream.destroyed) this.#options.onFault({ error, told, info: this });
    if (!this.#stream.headersSent) {
      refuseStream(this.#stream, told, { ...this.#responseHeaders, ...this.#trailers });
      return;
    }
    if (this.#stream.destroyed || this.#stream.writableEnded) return;
    this.#status = errorTrailers(told);
    this.#finish();
  }

  #timedOut(): void {
    const error = new GrpcError(statusCode.deadlineExceeded, "the deadline of the call has passed");
    this.#abort(() => error);
    this.#fail(error);
  }

  /** The reason is made when somebody looks: every stream closes, and an error with its stack costs more than most handlers. */
  #abort(reason: () => GrpcError): void {
    clearTimeout(this.#timer);
    if (this.#abortReason) return;
    this.#abortReason = reason;
    this.#aborter?.abort(reason());
  }

  #drained(): Promise<void> {
    const stream = this.#stream;
    return new Promise((resolve) => {
      const done = () => {
        stream.off("drain", done);
        stream.off("close", done);
        resolve();
      };
      stream.once("drain", done);
      stream.once("close", done);
    });
  }
}

function parse(method: TableEntry["method"], bytes: Uint8Array): Message {
  try {
    return fromBinary(method.input, bytes);
  } catch (error) {
    throw malformed(`not a ${method.input.typeName}`, error);
  }
}

function malformed(what: string, cause?: unknown): GrpcError {
  return new GrpcError(statusCode.invalidArgument, `malformed request: ${what}`, { cause });
}

// Node joins repeated request headers to one string, except set-cookie, which no request has.
function asStrings(headers: IncomingHttpHeaders): CallInfo["headers"] {
  return headers as Record<string, string | undefined>;
}

function callerGone(): GrpcError {
  return new GrpcError(statusCode.cancelled, "the caller went away");
}
