/** The client's side: one connection, calls of all four kinds. When the connection is lost every call on it fails; the caller opens another channel. */
import http2, { type ClientHttp2Session, type ClientHttp2Stream } from "node:http2";
import net from "node:net";
import { create, type DescMessage, type DescMethod, fromBinary, type MessageInitShape, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { defaultMaxMessageBytes, FrameReader, frame } from "./framing.ts";
import { GrpcError, statusCode } from "./handler.ts";
import { pathOf } from "./handler-table.ts";
import { errorOf } from "./status.ts";
import { formatTimeout, maxTimerMs } from "./timeout.ts";

export interface ChannelOptions {
  /** `http://host:port` or `unix:///path`. */
  readonly url: string;
  /** Sent with every call. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly maxMessageBytes?: number;
  /** How often the peer is asked whether it is there, and how long it may take to answer before the connection counts as lost. */
  readonly keepAlive?: { readonly everyMs: number; readonly withinMs: number };
  readonly connectTimeoutMs?: number;
}

export interface CallOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Called once with the response trailers, before the call settles. */
  readonly onTrailers?: (trailers: Readonly<Record<string, string | undefined>>) => void;
}

type Typed<Input extends DescMessage, Output extends DescMessage, Kind extends DescMethod["methodKind"]> = Omit<
  DescMethod,
  "methodKind" | "input" | "output"
> & {
  readonly methodKind: Kind;
  readonly input: Input;
  readonly output: Output;
};

/** A call in which both sides send when they like. */
export interface DuplexCall<Input extends DescMessage, Output extends DescMessage> {
  /** Resolves when the transport has taken it: await it to hold back. Rejects with the call's error once it has ended. */
  send(message: MessageInitShape<Input>): Promise<void>;
  /** No more messages from this side. */
  end(): void;
  cancel(): void;
  /** To be read once. Ends normally on status OK, throws `GrpcError` otherwise. */
  readonly responses: AsyncIterable<MessageShape<Output>>;
}

const defaultConnectTimeoutMs = 10_000;
const windowBytes = 16 * 1024 * 1024;
const sessionMemoryMegabytes = 1000; // with Node's 10, an answer that comes while more than that waits to be sent is refused

export class Channel {
  /** Resolves when connected; rejects with an UNAVAILABLE `GrpcError`. */
  readonly connected: Promise<void>;
  /** Resolves when the connection has ended, by whichever side. */
  readonly closed: Promise<void>;
  readonly #session: ClientHttp2Session;
  readonly #options: ChannelOptions;
  #lostBecause: unknown;

  constructor(options: ChannelOptions) {
    this.#options = options;
    this.#session = connect(options.url);
    this.#session.on("error", (error) => {
      this.#lostBecause = error;
    });
    this.closed = new Promise((resolve) => this.#session.once("close", resolve));
    this.connected = this.#connected();
    this.connected.catch(() => {}); // whoever does not await it learns it from its first call
    if (options.keepAlive) this.#keepAlive(options.keepAlive);
  }

  get isClosed(): boolean {
    return this.#session.closed || this.#session.destroyed;
  }

  /** Calls in flight go on; resolves with `closed`. */
  close(): void {
    if (!this.#session.destroyed) this.#session.close();
  }

  /** Ends the connection and every call on it. */
  destroy(): void {
    this.#session.destroy();
  }

  async unary<I extends DescMessage, O extends DescMessage>(
    method: Typed<I, O, "unary">,
    request: MessageInitShape<I>,
    options: CallOptions = {},
  ): Promise<MessageShape<O>> {
    return onlyOne(this.#single(method, request, options));
  }

  serverStream<I extends DescMessage, O extends DescMessage>(
    method: Typed<I, O, "server_streaming">,
    request: MessageInitShape<I>,
    options: CallOptions = {},
  ): AsyncIterable<MessageShape<O>> {
    return this.#single(method, request, options);
  }

  async clientStream<I extends DescMessage, O extends DescMessage>(
    method: Typed<I, O, "client_streaming">,
    requests: AsyncIterable<MessageInitShape<I>>,
    options: CallOptions = {},
  ): Promise<MessageShape<O>> {
    const call = this.#open(method, options);
    const sending = sendAll(call, requests);
    sending.catch(() => call.cancel());
    return onlyOne(call.responses);
  }

  duplex<I extends DescMessage, O extends DescMessage>(method: Typed<I, O, "bidi_streaming">, options: CallOptions = {}): DuplexCall<I, O> {
    return this.#open(method, options);
  }

  async *#single<I extends DescMessage, O extends DescMessage>(
    method: Typed<I, O, DescMethod["methodKind"]>,
    request: MessageInitShape<I>,
    options: CallOptions,
  ): AsyncIterable<MessageShape<O>> {
    const call = this.#open(method, options);
    call.send(request).catch(() => {}); // told by the responses too
    call.end();
    yield* call.responses;
  }

  #open<I extends DescMessage, O extends DescMessage>(method: Typed<I, O, DescMethod["methodKind"]>, options: CallOptions): DuplexCall<I, O> {
    if (this.isClosed) throw this.#lost();
    const stream = this.#session.request({
      ":method": "POST",
      ":path": pathOf(asMethod(method)),
      te: "trailers",
      "content-type": "application/grpc",
      ...(options.timeoutMs === undefined ? {} : { "grpc-timeout": formatTimeout(options.timeoutMs) }),
      ...this.#options.headers,
      ...options.headers,
    });
    return openCall({ stream, method, options, maxMessageBytes: this.#options.maxMessageBytes ?? defaultMaxMessageBytes, lost: () => this.#lost() });
  }

  #connected(): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#session.destroy(), this.#options.connectTimeoutMs ?? defaultConnectTimeoutMs);
      this.#session.once("connect", (session) => {
        clearTimeout(timer);
        session.setLocalWindowSize?.(4 * windowBytes);
        resolve();
      });
      this.#session.once("close", () => {
        clearTimeout(timer);
        reject(this.#lost());
      });
    });
  }

  #keepAlive({ everyMs, withinMs }: { readonly everyMs: number; readonly withinMs: number }): void {
    let dead: NodeJS.Timeout | undefined;
    const timer = setInterval(() => {
      if (this.isClosed || this.#session.connecting) return;
      dead ??= setTimeout(() => this.#session.destroy(), withinMs);
      this.#session.ping(() => {
        clearTimeout(dead);
        dead = undefined;
      });
    }, everyMs);
    void this.closed.then(() => {
      clearInterval(timer);
      clearTimeout(dead);
    });
  }

  #lost(): GrpcError {
    const reason = this.#lostBecause instanceof Error ? `: ${this.#lostBecause.message}` : "";
    return new GrpcError(statusCode.unavailable, `no connection to ${this.#options.url}${reason}`, { cause: this.#lostBecause });
  }
}

interface OpenCall<O extends DescMessage> {
  readonly stream: ClientHttp2Stream;
  readonly method: { readonly output: O; readonly input: DescMessage };
  readonly options: CallOptions;
  readonly maxMessageBytes: number;
  readonly lost: () => GrpcError;
}

function openCall<I extends DescMessage, O extends DescMessage>({ stream, method, options, maxMessageBytes, lost }: OpenCall<O>): DuplexCall<I, O> {
  let error: GrpcError | undefined;
  let headers: Readonly<Record<string, string | undefined>> = {};
  let trailers: Readonly<Record<string, string | undefined>> | undefined;
  const fail = (reason: GrpcError) => {
    error ??= reason;
    stream.close(http2.constants.NGHTTP2_CANCEL);
  };
  stream.on("error", () => {}); // "close" follows
  stream.once("response", (received) => {
    headers = asStrings(received);
    if (received[":status"] !== 200) fail(new GrpcError(statusCode.unavailable, `HTTP status ${received[":status"]}`));
  });
  stream.once("trailers", (received) => {
    trailers = asStrings(received);
  });
  const { signal, timeoutMs } = options;
  const onAbort = () => fail(new GrpcError(statusCode.cancelled, "cancelled", { cause: signal?.reason }));
  if (signal?.aborted) onAbort();
  signal?.addEventListener("abort", onAbort, { once: true });
  const timedOut = () => fail(new GrpcError(statusCode.deadlineExceeded, "the deadline of the call has passed"));
  const timer = timeoutMs !== undefined && timeoutMs <= maxTimerMs ? setTimeout(timedOut, timeoutMs) : undefined;
  const closed = new Promise<void>((resolve) => stream.once("close", resolve));
  void closed.then(() => {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  });

  const outcome = (): GrpcError | undefined => {
    const final = trailers ?? (headers["grpc-status"] === undefined ? undefined : headers);
    if (final === undefined) return error ?? lost();
    options.onTrailers?.(final);
    return error ?? errorOf(final);
  };

  async function* read(): AsyncIterable<MessageShape<O>> {
    const reader = new FrameReader(maxMessageBytes);
    let isDone = false;
    try {
      for await (const chunk of stream) {
        reader.push(chunk);
        for (let message = reader.next(); message; message = reader.next()) yield fromBinary(method.output, message);
      }
      isDone = true;
    } catch (fault) {
      if (fault instanceof GrpcError) error ??= fault;
    } finally {
      if (!isDone) stream.close(http2.constants.NGHTTP2_CANCEL);
    }
    if (trailers === undefined && headers["grpc-status"] === undefined) await closed;
    if (!stream.writableFinished) stream.close(http2.constants.NGHTTP2_CANCEL); // answered early: the rest of the request is not wanted
    const failure = outcome();
    if (failure) throw failure;
  }

  return {
    responses: read(),
    async send(message) {
      if (stream.destroyed || stream.writableEnded) throw error ?? lost();
      if (stream.write(frame(encode(method.input, message)))) return;
      await new Promise<void>((resolve, reject) => {
        const onDrain = () => {
          stream.off("close", onClose);
          resolve();
        };
        const onClose = () => {
          stream.off("drain", onDrain);
          reject(error ?? lost());
        };
        stream.once("drain", onDrain);
        stream.once("close", onClose);
      });
    },
    end: () => stream.end(),
    cancel: () => fail(new GrpcError(statusCode.cancelled, "cancelled")),
  };
}

async function onlyOne<Shape>(responses: AsyncIterable<Shape>): Promise<Shape> {
  let only: Shape | undefined;
  for await (const response of responses) only ??= response;
  if (only === undefined) throw new GrpcError(statusCode.internal, "the answer holds no message");
  return only;
}

async function sendAll<I extends DescMessage, O extends DescMessage>(call: DuplexCall<I, O>, requests: AsyncIterable<MessageInitShape<I>>): Promise<void> {
  for await (const request of requests) await call.send(request);
  call.end();
}

function connect(url: string): ClientHttp2Session {
  const options = { settings: { initialWindowSize: windowBytes, enablePush: false }, maxSessionMemory: sessionMemoryMegabytes };
  if (!url.startsWith("unix://")) return http2.connect(url, options);
  return http2.connect("http://localhost", { ...options, createConnection: () => net.connect(url.slice("unix://".length)) });
}

function encode(schema: DescMessage, message: MessageInitShape<DescMessage>): Uint8Array {
  return toBinary(schema, create(schema, message));
}

// `Typed` is DescMethod with its messages' types kept; nothing is taken away.
function asMethod(method: object): DescMethod {
  return method as DescMethod;
}

// Node's response headers are strings but for `:status` and set-cookie, which nobody reads here.
function asStrings(headers: object): Readonly<Record<string, string | undefined>> {
  return headers as Record<string, string | undefined>;
}
