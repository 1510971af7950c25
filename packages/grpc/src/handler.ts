/**
 * What a handler sees of a call, whichever door it came through (gRPC over HTTP/2, Connect+JSON over HTTP/1.1, or frames from a worker): the
 * handler table is the one list of what we serve, and the doors are adapters in front of it.
 */
import type { DescMethod, DescService, Message, MessageInitShape, MessageShape } from "@bufbuild/protobuf";

/** One call in flight. Created by a door, valid until the handler settles. */
export interface CallInfo<Peer = unknown> {
  /** `/package.Service/Method`. */
  readonly path: string;
  /** Request metadata, names in lower case; `-bin` values still base64. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** Who is at the other end, as far as the door knows: set by the door, read by the procedure. */
  readonly peer: Peer;
  /** Aborts when the caller goes away, cancels or its deadline passes. */
  readonly signal: AbortSignal;
  /** Milliseconds left of the caller's deadline; undefined without one. */
  timeoutMs(): number | undefined;
  /** Adds a response trailer (sent with success and with errors). Values must be header-safe: percent-encode text. */
  setTrailer(name: string, value: string): void;
  /** Adds a response header; no effect once the first message is out. */
  setHeader(name: string, value: string): void;
}

export type UnaryHandler = (request: Message, info: CallInfo) => Promise<MessageInitShape<DescMethod["output"]>>;
export type ServerStreamHandler = (request: Message, info: CallInfo) => AsyncIterable<MessageInitShape<DescMethod["output"]>>;
export type ClientStreamHandler = (requests: AsyncIterable<Message>, info: CallInfo) => Promise<MessageInitShape<DescMethod["output"]>>;
export type BidiHandler = (requests: AsyncIterable<Message>, info: CallInfo) => AsyncIterable<MessageInitShape<DescMethod["output"]>>;

/** The handler type that fits a generated method descriptor. */
export type HandlerOf<Method extends DescMethod> = Method extends { methodKind: "unary" }
  ? (request: MessageShape<Method["input"]>, info: CallInfo) => Promise<MessageInitShape<Method["output"]>>
  : Method extends { methodKind: "server_streaming" }
    ? (request: MessageShape<Method["input"]>, info: CallInfo) => AsyncIterable<MessageInitShape<Method["output"]>>
    : Method extends { methodKind: "client_streaming" }
      ? (requests: AsyncIterable<MessageShape<Method["input"]>>, info: CallInfo) => Promise<MessageInitShape<Method["output"]>>
      : (requests: AsyncIterable<MessageShape<Method["input"]>>, info: CallInfo) => AsyncIterable<MessageInitShape<Method["output"]>>;

/** Handlers of a service by the generated local name; what is absent answers UNIMPLEMENTED with a helpful text. */
export type Implementation<Service extends DescService> = { readonly [Name in keyof Service["method"]]?: HandlerOf<Service["method"][Name]> };

/** gRPC status codes that we use, by name. */
export const statusCode = {
  ok: 0,
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  aborted: 10,
  outOfRange: 11,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  dataLoss: 15,
  unauthenticated: 16,
} as const;

export type StatusCode = (typeof statusCode)[keyof typeof statusCode];

/** The error that a handler throws to answer with a status. Anything else thrown becomes INTERNAL with its text hidden. */
export class GrpcError extends Error {
  readonly code: StatusCode;
  /** Packed into grpc-status-details-bin: type name and serialised message. */
  readonly details: readonly { readonly typeName: string; readonly value: Uint8Array }[];
  constructor(code: StatusCode, message: string, options: { cause?: unknown; details?: readonly { typeName: string; value: Uint8Array }[] } = {}) {
    super(message, { cause: options.cause });
    this.name = "GrpcError";
    this.code = code;
    this.details = options.details ?? [];
  }
}
