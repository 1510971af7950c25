/** Logs and relayed calls: two streams that live as long as a link session, each dialled again when it breaks alone. */
import { setTimeout as delay } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { type CallFrame, CallFrameSchema, type LogAck, type LogMessage, LogMessageSchema } from "@squall/protocol/agent";
import type { Logger } from "pino";
import type { ApiStream, ApiStreams } from "./api-streams.ts";
import type { CallRelay } from "./container-gateway/call-relay.ts";
import type { LogShipper } from "./logs.ts";

export interface BulkOptions {
  readonly streams: Pick<ApiStreams, "logs" | "calls">;
  readonly logs: LogShipper;
  readonly relay: CallRelay;
  readonly log: Logger;
}

const backOffMs = 200;

export class BulkStreams {
  readonly #options: BulkOptions;
  #session: AbortController | undefined;

  constructor(options: BulkOptions) {
    this.#options = options;
  }

  /** A link session began: `session` admits these streams. */
  open(session: string): void {
    this.close();
    const { streams, logs, relay } = this.#options;
    const controller = new AbortController();
    this.#session = controller;
    void this.#keep<LogMessage, LogAck>(controller.signal, {
      name: "logs",
      open: () => streams.logs(),
      first: create(LogMessageSchema, { session }),
      connected: (send) => logs.connect(send),
      received: (ack) => logs.acknowledged(ack),
      disconnected: () => logs.disconnect(),
    });
    void this.#keep<CallFrame, CallFrame>(controller.signal, {
      name: "calls",
      open: () => streams.calls(),
      first: create(CallFrameSchema, { frame: { case: "session", value: session } }),
      connected: (send) => relay.connect(send),
      received: (frame) => relay.receive(frame),
      disconnected: () => relay.disconnect(),
    });
  }

  close(): void {
    if (!this.#session) return;
    this.#session.abort();
    this.#session = undefined;
    this.#options.logs.disconnect();
    this.#options.relay.disconnect();
  }

  async #keep<Out, In>(signal: AbortSignal, ends: Ends<Out, In>): Promise<void> {
    while (!signal.aborted) {
      await this.#once(signal, ends);
      await delay(backOffMs, undefined, { signal }).catch(() => {}); // the session is over
    }
  }

  async #once<Out, In>(signal: AbortSignal, ends: Ends<Out, In>): Promise<void> {
    const stream = ends.open();
    const close = () => stream.close();
    signal.addEventListener("abort", close, { once: true });
    try {
      void stream.send(ends.first);
      ends.connected((message) => stream.send(message));
      for await (const message of stream.messages) ends.received(message);
    } catch (error) {
      if (!signal.aborted) this.#options.log.warn({ err: error, stream: ends.name }, "a stream to the control plane broke");
    } finally {
      signal.removeEventListener("abort", close);
      stream.close();
      // A later session may have connected already: then it is not ours to disconnect.
      if (!signal.aborted) ends.disconnected();
    }
  }
}

interface Ends<Out, In> {
  readonly name: string;
  readonly open: () => ApiStream<Out, In>;
  readonly first: Out;
  readonly connected: (send: (message: Out) => Promise<void>) => void;
  readonly received: (message: In) => void;
  readonly disconnected: () => void;
}
