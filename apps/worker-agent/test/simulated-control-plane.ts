/** A control plane for tests: speaks the agent's protocol over a real socket, decides nothing by itself, and remembers what it was told. */
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { createServer, type Server } from "node:net";
import { create } from "@bufbuild/protobuf";
import { GrpcError, statusCode } from "@squall/grpc/handler";
import { HandlerTable } from "@squall/grpc/handler-table";
import { GrpcServer } from "@squall/grpc/server";
import { sniff } from "@squall/grpc/sniff";
import {
  AgentLink,
  type AgentMessage,
  type CallFrame,
  CallFrameSchema,
  type ContainerReport,
  ContainerReportSchema,
  type ControlMessage,
  ControlMessageSchema,
  type DataChunks,
  type Hello,
  type Input,
  type InputRequest,
  type LogMessage,
  type Output,
  type UsageSegment,
} from "@squall/protocol/agent";
import { decodeLogFrames, frameHeaderBytes } from "@squall/streams/log-frames";

/** Values in order, to be awaited one after the other. */
class Channel<Value> {
  readonly #values: Value[] = [];
  #wake: (() => void) | undefined;
  #isClosed = false;
  #error: unknown;

  push(value: Value): void {
    this.#values.push(value);
    this.#wake?.();
  }

  close(error?: unknown): void {
    this.#isClosed = true;
    this.#error = error;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Value> {
    for (;;) {
      for (let value = this.#values.shift(); value !== undefined; value = this.#values.shift()) yield value;
      if (this.#error) throw this.#error;
      if (this.#isClosed) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

export class SimulatedControlPlane {
  readonly hellos: Hello[] = [];
  readonly reports: ContainerReport[] = [];
  readonly outputs: Output[] = [];
  readonly chunks: DataChunks[] = [];
  readonly initFailures: { containerId: string; result: Uint8Array }[] = [];
  readonly usage: UsageSegment[] = [];
  readonly requests: InputRequest[] = [];
  readonly calls: CallFrame[] = [];
  readonly objects = new Map<string, Uint8Array>();
  readonly #logs = new Map<string, Uint8Array>();
  readonly faults: unknown[] = [];
  readonly ended = new Set<string>();
  /** Outputs are acknowledged only while this is true. */
  stores = true;
  /** Answer to a relayed call, by path. */
  answer: (path: string, message: Uint8Array) => { message?: Uint8Array; error?: GrpcError } = () => ({
    error: new GrpcError(statusCode.notFound, "no such thing here"),
  });
  readonly #listeners = new Set<() => void>();
  #link: Channel<ControlMessage> | undefined;
  #server: Server | undefined;
  readonly #workerToken: string;
  port = 0;

  constructor(workerToken: string) {
    this.#workerToken = workerToken;
  }

  async listen(): Promise<void> {
    const table = new HandlerTable().add(AgentLink, {
      link: (messages) => this.#onLink(messages),
      logs: (messages) => this.#onLogs(messages),
      calls: (frames) => this.#onCalls(frames),
    });
    const grpc = new GrpcServer({ table, onFault: ({ error }) => this.faults.push(error) });
    const http = createHttpServer((request, response) => {
      const object = this.objects.get((request.url ?? "").replace("/internal/objects/", ""));
      if (request.url?.startsWith("/blobs/")) response.end(`blob ${request.url}`);
      else if (request.headers["x-squall-worker-token"] !== this.#workerToken) response.writeHead(401).end();
      else if (object) response.end(object);
      else response.writeHead(404).end();
    });
    this.#server = createServer((socket) => {
      void sniff(socket, { withinMs: 5_000 }).then((protocol) => {
        if (protocol === "http2") grpc.accept(socket, undefined);
        if (protocol === "http1") http.emit("connection", socket);
      });
    });
    this.#server.listen(this.port, "127.0.0.1");
    await once(this.#server, "listening");
    const address = this.#server.address();
    if (typeof address === "object" && address) this.port = address.port;
  }

  close(): void {
    this.#server?.close();
    this.cut();
  }

  /** Ends the present link, as a restarted api does. */
  cut(): void {
    this.#link?.close();
    this.#link = undefined;
  }

  send(message: ControlMessage["message"]): void {
    this.#link?.push(create(ControlMessageSchema, { message }));
  }

  give(containerId: string, inputs: Input[], requestId = 0n): void {
    this.send(create(ControlMessageSchema, { message: { case: "inputs", value: { containerId, requestId, inputs } } }).message);
  }

  log(containerId: string): string {
    const { frames } = decodeLogFrames(this.#logs.get(containerId) ?? new Uint8Array());
    return frames.map((frame) => Buffer.from(frame.data).toString()).join("");
  }

  lastReport(containerId: string): ContainerReport | undefined {
    return this.reports.findLast((report) => report.containerId === containerId);
  }

  /** Resolves with what `look` finds, now or after the next message; fails after `withinMs`. */
  async until<Found>(look: () => Found | undefined | false, withinMs = 20_000): Promise<Found> {
    const deadline = AbortSignal.timeout(withinMs);
    for (;;) {
      const found = look();
      if (found !== undefined && found !== false) return found;
      if (deadline.aborted)
        throw new Error(
          `waited ${withinMs} ms; reports: ${JSON.stringify(this.reports, (_, value) => (typeof value === "bigint" ? String(value) : value)).slice(-2000)}`,
        );
      await new Promise<void>((resolve) => {
        const done = () => {
          this.#listeners.delete(done);
          deadline.removeEventListener("abort", done);
          resolve();
        };
        this.#listeners.add(done);
        deadline.addEventListener("abort", done, { once: true });
      });
    }
  }

  #told(): void {
    for (const listener of [...this.#listeners]) listener();
  }

  async *#onLink(messages: AsyncIterable<AgentMessage>): AsyncGenerator<ControlMessage> {
    const link = new Channel<ControlMessage>();
    void this.#readLink(messages, link).then(
      () => link.close(),
      (error: unknown) => link.close(error),
    );
    yield* link;
  }

  async #readLink(messages: AsyncIterable<AgentMessage>, link: Channel<ControlMessage>): Promise<void> {
    const answer = (message: ControlMessage["message"]) => link.push(create(ControlMessageSchema, { message }));
    for await (const { message } of messages) {
      if (message.case === "hello") {
        this.hellos.push(message.value);
        this.#told();
        if (message.value.workerToken !== this.#workerToken) throw new GrpcError(statusCode.unauthenticated, "wrong token");
        this.#link = link;
        answer(create(ControlMessageSchema, { message: { case: "welcome", value: { workerId: "wo-1", session: "s-1", heartbeatIntervalMs: 1_000 } } }).message);
      }
      if (message.case === "container") this.reports.push(create(ContainerReportSchema, message.value));
      if (message.case === "inputRequest") this.requests.push(message.value);
      if (message.case === "outputs") this.outputs.push(...message.value.outputs);
      if (message.case === "dataChunks") this.chunks.push(message.value);
      if (message.case === "initFailure") this.initFailures.push(message.value);
      if (message.case === "usage") {
        this.usage.push(...message.value.segments);
        answer(
          create(ControlMessageSchema, {
            message: { case: "usageStored", value: { segments: message.value.segments.map(({ containerId, seq }) => ({ containerId, seq })) } },
          }).message,
        );
      }
      if (message.case === "outputs" || message.case === "dataChunks" || message.case === "initFailure") {
        if (this.stores)
          answer(create(ControlMessageSchema, { message: { case: "outputsStored", value: { throughSequence: message.value.sequence } } }).message);
      }
      if (message.case === "heartbeat")
        answer(create(ControlMessageSchema, { message: { case: "heartbeat", value: { sequence: message.value.sequence } } }).message);
      this.#told();
    }
  }

  async *#onLogs(messages: AsyncIterable<LogMessage>) {
    for await (const { containerId, offset, frames, end } of messages) {
      if (containerId === "") continue;
      const known = this.#logs.get(containerId) ?? new Uint8Array();
      if (Number(offset) > known.length) throw new GrpcError(statusCode.failedPrecondition, `a gap in the log of ${containerId}`);
      const whole = Buffer.concat([known, frames.subarray(Math.max(0, known.length - Number(offset)))]);
      if (frames.length > 0 && frames.length < frameHeaderBytes) throw new GrpcError(statusCode.invalidArgument, "half a frame");
      this.#logs.set(containerId, whole);
      if (end) this.ended.add(containerId);
      this.#told();
      yield { containerId, offset: BigInt(whole.length) };
    }
  }

  async *#onCalls(frames: AsyncIterable<CallFrame>) {
    const paths = new Map<bigint, string>();
    for await (const frame of frames) {
      this.calls.push(frame);
      if (frame.frame.case === "open") paths.set(frame.callId, frame.frame.value.path);
      if (frame.frame.case === "message") {
        const { message, error } = this.answer(paths.get(frame.callId) ?? "", frame.frame.value);
        if (message) yield create(CallFrameSchema, { callId: frame.callId, frame: { case: "message", value: message } });
        yield create(CallFrameSchema, { callId: frame.callId, frame: { case: "end", value: { status: error?.code ?? 0, message: error?.message ?? "" } } });
      }
      this.#told();
    }
  }
}
