/**
 * `AgentLink.Calls`: RPCs that containers make and their agent does not answer itself. Each travels as frames with a call id on one stream per worker;
 * here they meet the same handler table as everybody's, with the container as the caller.
 */
import { create } from "@bufbuild/protobuf";
import { asId, type Id, isId } from "@squall/core/ids";
import { type CallInfo, GrpcError, statusCode } from "@squall/grpc/handler";
import type { HandlerTable, OnHandlerFault } from "@squall/grpc/handler-table";
import { invoke } from "@squall/grpc/invoke";
import { encodeDetails, toldOf } from "@squall/grpc/status";
import { type CallEnd, CallEndSchema, type CallFrame, CallFrameSchema, type CallOpen } from "@squall/protocol/agent";
import type { Peer } from "../peer.ts";
import { ByteQueue } from "./byte-queue.ts";

export interface CallsOptions {
  /** What containers may call: never the agents' own service. */
  readonly table: HandlerTable;
  /** The worker that a session of AgentLink.Link belongs to; undefined when there is no such session now. */
  readonly sessionOf: (session: string) => { readonly workerId: Id<"worker"> } | undefined;
  readonly onFault: OnHandlerFault;
}

const maxOpenCalls = 4096;
// Requests that a handler has not read, of one call: a function's input comes to 16 MiB.
const maxUnreadRequestBytes = 64 * 1024 * 1024;
// Answers that wait for the agent, of one stream; handlers wait when it is full.
const maxWaitingAnswerBytes = 16 * 1024 * 1024;

/** The handler of one Calls stream; every call on it is cancelled when the stream ends. */
export async function* serveCalls(frames: AsyncIterable<CallFrame>, info: Pick<CallInfo, "signal">, options: CallsOptions): AsyncIterable<CallFrame> {
  const iterator = frames[Symbol.asyncIterator]();
  const first = await iterator.next();
  const session = first.done || first.value.frame.case !== "session" ? undefined : options.sessionOf(first.value.frame.value);
  if (!session) throw new GrpcError(statusCode.unauthenticated, "the first frame names a session of a link that is open");
  const calls = new Calls(session.workerId, options);
  const reading = calls.readAll(iterator);
  reading.catch(() => {}); // awaited below, unless the reader of the answers went first: then nobody is left to be told
  info.signal.addEventListener("abort", () => calls.end(), { once: true });
  try {
    yield* calls.answers;
    await reading;
  } finally {
    calls.end();
  }
}

interface OpenCall {
  readonly requests: ByteQueue<Uint8Array>;
  readonly cancel: AbortController;
}

class Calls {
  readonly answers = new ByteQueue<CallFrame>(maxWaitingAnswerBytes);
  readonly #workerId: Id<"worker">;
  readonly #options: CallsOptions;
  readonly #open = new Map<bigint, OpenCall>();

  constructor(workerId: Id<"worker">, options: CallsOptions) {
    this.#workerId = workerId;
    this.#options = options;
  }

  async readAll(frames: AsyncIterator<CallFrame>): Promise<void> {
    try {
      for (let next = await frames.next(); !next.done; next = await frames.next()) this.#receive(next.value);
    } finally {
      this.end();
    }
  }

  end(): void {
    for (const { requests, cancel } of this.#open.values()) {
      requests.end();
      cancel.abort(new GrpcError(statusCode.cancelled, "the worker's stream ended"));
    }
    this.#open.clear();
    this.answers.end();
  }

  #receive({ callId, frame }: CallFrame): void {
    const call = this.#open.get(callId);
    switch (frame.case) {
      case "open":
        if (!call) this.#start(callId, frame.value);
        return;
      case "message":
        call?.requests.push(frame.value, frame.value.length);
        if (call && call.requests.heldBytes > maxUnreadRequestBytes)
          call.cancel.abort(new GrpcError(statusCode.resourceExhausted, "the request is longer than its handler reads"));
        return;
      case "halfClose":
        call?.requests.end();
        return;
      case "cancel":
        call?.cancel.abort(new GrpcError(statusCode.cancelled, "the caller went away"));
        return;
      case "session":
      case "end":
      case undefined:
        return; // nothing that an agent says in the middle of a stream
      default:
        frame satisfies never;
    }
  }

  #start(callId: bigint, open: CallOpen): void {
    const requests = new ByteQueue<Uint8Array>(maxUnreadRequestBytes);
    const cancel = new AbortController();
    const refusal = this.#refusalOf(open);
    if (refusal) {
      this.#send(callId, { case: "end", value: endOf(refusal, {}) });
      return;
    }
    this.#open.set(callId, { requests, cancel });
    void this.#run(callId, open, { requests, cancel });
  }

  #refusalOf({ containerId }: CallOpen): GrpcError | undefined {
    if (this.#open.size >= maxOpenCalls) return new GrpcError(statusCode.resourceExhausted, `the worker has ${maxOpenCalls} calls under way`);
    if (!isId("container", containerId)) return new GrpcError(statusCode.invalidArgument, "the call names no container");
    return undefined;
  }

  async #run(callId: bigint, open: CallOpen, { requests, cancel }: OpenCall): Promise<void> {
    const trailers: Record<string, string> = {};
    const info = this.#infoOf(open, trailers, cancel.signal);
    const timer =
      open.timeoutMs > 0
        ? setTimeout(() => cancel.abort(new GrpcError(statusCode.deadlineExceeded, "the deadline of the call has passed")), open.timeoutMs)
        : undefined;
    const cancelled = new Promise<never>((_, reject) => cancel.signal.addEventListener("abort", () => reject(cancel.signal.reason), { once: true }));
    try {
      await Promise.race([this.#answer(callId, open, { requests, info }), cancelled]);
      this.#finish(callId, endOf(undefined, trailers));
    } catch (error) {
      const told = toldOf(error);
      if (told.cause === error) this.#options.onFault({ error, told, info });
      this.#finish(callId, endOf(told, trailers));
    } finally {
      clearTimeout(timer);
      requests.end();
      cancel.abort();
    }
  }

  async #answer(callId: bigint, open: CallOpen, { requests, info }: { readonly requests: ByteQueue<Uint8Array>; readonly info: CallInfo }): Promise<void> {
    const entry = this.#options.table.find(open.path);
    if (!entry) throw new GrpcError(statusCode.unimplemented, this.#options.table.unknownText(open.path));
    for await (const message of invoke(entry, requests, info)) {
      if (!this.#open.has(callId)) return;
      this.#send(callId, { case: "message", value: message }, message.length);
      await this.answers.hasRoom();
    }
  }

  #finish(callId: bigint, end: CallEnd): void {
    if (this.#open.delete(callId)) this.#send(callId, { case: "end", value: end });
  }

  #send(callId: bigint, frame: CallFrame["frame"], sizeBytes = 0): void {
    this.answers.push(create(CallFrameSchema, { callId, frame }), sizeBytes);
  }

  #infoOf(open: CallOpen, trailers: Record<string, string>, signal: AbortSignal): CallInfo {
    const peer: Peer = { kind: "container", containerId: asId("container", open.containerId), workerId: this.#workerId, blobBaseUrl: open.blobBaseUrl };
    const deadlineAt = open.timeoutMs > 0 ? performance.now() + open.timeoutMs : undefined;
    return {
      path: open.path,
      headers: open.metadata,
      peer,
      signal,
      timeoutMs: () => (deadlineAt === undefined ? undefined : deadlineAt - performance.now()),
      setTrailer: (name, value) => {
        trailers[name] = value;
      },
      setHeader: () => {}, // frames carry none
    };
  }
}

function endOf(error: GrpcError | undefined, trailers: Readonly<Record<string, string>>): CallEnd {
  if (!error) return create(CallEndSchema, { status: 0, trailers: { ...trailers } });
  const details = error.details.length > 0 ? encodeDetails(error.code, error.message, error.details) : new Uint8Array();
  return create(CallEndSchema, { status: error.code, message: error.message, trailers: { ...trailers }, details });
}
