/**
 * The RPCs of containers that the control plane answers: all of them travel over one stream to the api, as frames with a call id. Knows no message.
 *
 * While the api is away a new call waits for it, at most 30 s; a call that was under way when the stream broke ends as UNAVAILABLE at once, so that the
 * client behind it tries again instead of waiting for ever.
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { GrpcError, type StatusCode, statusCode } from "@squall/grpc/handler";
import { type CallEnd, type CallFrame, CallFrameSchema, type CallOpen, CallOpenSchema } from "@squall/protocol/agent";

export interface RelayedCall {
  readonly containerId: string;
  readonly path: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly blobBaseUrl: string;
  /** 0: without a deadline. */
  readonly timeoutMs: number;
  /** Whole request messages, in order. */
  readonly requests: AsyncIterable<Uint8Array>;
  readonly signal: AbortSignal;
}

export interface RelayHandlers {
  /** Trailers of the answer, the status detail among them. Called once, before the answer ends, with success and with errors. */
  readonly ended: (end: CallEnd) => void;
}

/** Sends a frame; the promise is back-pressure. */
export type SendFrame = (frame: CallFrame) => Promise<void> | void;

interface OpenCall {
  readonly containerId: string;
  readonly push: (message: Uint8Array) => void;
  readonly end: (end: CallEnd | GrpcError) => void;
}

const absencePatienceMs = 30_000;
const maxOpenCalls = 4096;
const maxOpenCallsPerContainer = 256;
// Answers that a container has not read; past this the call ends, because one stream carries all calls and must not stall.
const maxUnreadBytes = 32 << 20;

export class CallRelay {
  #send: SendFrame | undefined;
  #lastCallId = 0n;
  readonly #open = new Map<bigint, OpenCall>();
  #connectWaiters: (() => void)[] = [];

  connect(send: SendFrame): void {
    this.#send = send;
    for (const resolve of this.#connectWaiters.splice(0)) resolve();
  }

  disconnect(): void {
    this.#send = undefined;
    const calls = [...this.#open.values()];
    this.#open.clear();
    for (const call of calls) call.end(new GrpcError(statusCode.unavailable, "the control plane went away during the call"));
  }

  receive(frame: CallFrame): void {
    const call = this.#open.get(frame.callId);
    if (!call) return; // ended here before the answer came
    if (frame.frame.case === "message") call.push(frame.frame.value);
    if (frame.frame.case === "end") {
      this.#open.delete(frame.callId);
      call.end(frame.frame.value);
    }
  }

  /** The answer's messages as they come. Throws a GrpcError when the call ends with a status. */
  async *call(call: RelayedCall, handlers: RelayHandlers): AsyncGenerator<Uint8Array, void, undefined> {
    const send = await this.#connected(call.signal);
    this.#checkRoom(call.containerId);
    this.#lastCallId += 1n;
    const callId = this.#lastCallId;
    const answer = new AnswerQueue(call.containerId);
    this.#open.set(callId, answer);
    const giveUp = () => answer.end(new GrpcError(statusCode.cancelled, "the container gave up"));
    call.signal.addEventListener("abort", giveUp, { once: true });
    try {
      await send(frameOf(callId, { case: "open", value: openOf(call) }));
      void this.#sendRequests(callId, call, send);
      for (;;) {
        const next = await answer.next();
        if (next instanceof Uint8Array) {
          yield next;
          continue;
        }
        if (next instanceof GrpcError) throw next;
        handlers.ended(next);
        if (next.status !== statusCode.ok) throw new GrpcError(asStatusCode(next.status), next.message);
        return;
      }
    } finally {
      call.signal.removeEventListener("abort", giveUp);
      if (this.#open.delete(callId) && this.#send === send) void send(frameOf(callId, { case: "cancel", value: {} }));
    }
  }

  #checkRoom(containerId: string): void {
    const ofContainer = [...this.#open.values()].filter((call) => call.containerId === containerId).length;
    if (this.#open.size >= maxOpenCalls || ofContainer >= maxOpenCallsPerContainer) {
      throw new GrpcError(statusCode.resourceExhausted, `too many calls under way: a container may have ${maxOpenCallsPerContainer}, a worker ${maxOpenCalls}`);
    }
  }

  async #sendRequests(callId: bigint, call: RelayedCall, send: SendFrame): Promise<void> {
    try {
      for await (const message of call.requests) {
        if (!this.#open.has(callId)) return;
        await send(frameOf(callId, { case: "message", value: message }));
      }
      if (this.#open.has(callId)) await send(frameOf(callId, { case: "halfClose", value: {} }));
    } catch {
      // The container's side broke off: its signal ends the call.
    }
  }

  async #connected(signal: AbortSignal): Promise<SendFrame> {
    if (!this.#send) {
      const patience = AbortSignal.timeout(absencePatienceMs);
      const either = AbortSignal.any([signal, patience]);
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#connectWaiters.push(resolve);
      either.addEventListener("abort", () => resolve(), { once: true });
      await promise;
      this.#connectWaiters = this.#connectWaiters.filter((each) => each !== resolve);
    }
    if (signal.aborted) throw new GrpcError(statusCode.cancelled, "the container gave up");
    if (!this.#send) throw new GrpcError(statusCode.unavailable, `the control plane has been away for ${absencePatienceMs / 1000} s`);
    return this.#send;
  }
}

/** Messages of one answer between the stream that brings them and the container that reads them. */
class AnswerQueue implements OpenCall {
  readonly containerId: string;
  readonly #messages: Uint8Array[] = [];
  #unreadBytes = 0;
  #end: CallEnd | GrpcError | undefined;
  #wake: (() => void) | undefined;

  constructor(containerId: string) {
    this.containerId = containerId;
  }

  push(message: Uint8Array): void {
    if (this.#end) return;
    this.#messages.push(message);
    this.#unreadBytes += message.length;
    if (this.#unreadBytes > maxUnreadBytes && this.#messages.length > 1) {
      this.#end = new GrpcError(statusCode.resourceExhausted, `more than ${maxUnreadBytes >> 20} MiB of the answer are unread`);
    }
    this.#wake?.();
  }

  end(end: CallEnd | GrpcError): void {
    this.#end ??= end;
    this.#wake?.();
  }

  async next(): Promise<Uint8Array | CallEnd | GrpcError> {
    for (;;) {
      const message = this.#messages.shift();
      if (message) {
        this.#unreadBytes -= message.length;
        return message;
      }
      if (this.#end) return this.#end;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
  }
}

function openOf({ containerId, path, metadata, blobBaseUrl, timeoutMs }: RelayedCall): CallOpen {
  return create(CallOpenSchema, { containerId, path, metadata: { ...metadata }, blobBaseUrl, timeoutMs });
}

function frameOf(callId: bigint, frame: NonNullable<MessageInitShape<typeof CallFrameSchema>["frame"]>): CallFrame {
  return create(CallFrameSchema, { callId, frame });
}

/** A status number from the wire; one that gRPC does not know is UNKNOWN. */
function asStatusCode(status: number): StatusCode {
  return Object.values(statusCode).find((code) => code === status) ?? statusCode.unknown;
}
