/**
 * The one stream between this worker and the control plane. It is dialled again, with a short back-off, for as long as the agent lives; the containers
 * do not notice. Every session begins with Hello, which carries everything that runs here, so that nothing said on an earlier stream needs to be remembered.
 */
import { setTimeout as delay } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import type { Clock } from "@squall/core/clock";
import { GrpcError, statusCode } from "@squall/grpc/handler";
import { type AgentMessage, AgentMessageSchema, type ControlMessage, HeartbeatSchema, type Hello, type Welcome } from "@squall/protocol/agent";
import type { Logger } from "pino";

/** An open stream: `send` queues in order and never rejects, `messages` ends when the stream does and throws what ended it. */
export interface LinkStream {
  send(message: AgentMessage): Promise<void>;
  readonly messages: AsyncIterable<ControlMessage>;
  close(): void;
}

export interface ControlLinkOptions {
  readonly open: () => LinkStream;
  readonly hello: () => Hello;
  /** The session is open: everything that must be said again is said in here, in order. */
  readonly connected: (welcome: Welcome, send: (message: AgentMessage) => void) => void;
  readonly disconnected: () => void;
  readonly received: (message: ControlMessage["message"]) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

const firstBackOffMs = 50;
const longestBackOffMs = 1_000;
// A token that is refused will not be accepted a moment later; somebody has to mend it.
const refusedBackOffMs = 5_000;
const welcomePatienceMs = 10_000;
const silentBeats = 3;

export class ControlLink {
  readonly #options: ControlLinkOptions;
  readonly #stopped = new AbortController();
  #stream: LinkStream | undefined;
  #isOpen = false;

  constructor(options: ControlLinkOptions) {
    this.#options = options;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Dropped while there is no session: the next Hello says it all. */
  send(message: AgentMessage["message"]): void {
    if (this.#isOpen) void this.#stream?.send(create(AgentMessageSchema, { message }));
  }

  /** Runs until `stop`. */
  async run(): Promise<void> {
    let backOffMs = firstBackOffMs;
    while (!this.#stopped.signal.aborted) {
      const outcome = await this.#session();
      if (this.#stopped.signal.aborted) break;
      backOffMs = outcome.wasOpen ? firstBackOffMs : Math.min(longestBackOffMs, backOffMs * 2);
      if (isRefusal(outcome.error)) backOffMs = refusedBackOffMs;
      this.#tell(outcome);
      await this.#pause(backOffMs);
    }
  }

  stop(): void {
    this.#stopped.abort();
    this.#stream?.close();
  }

  async #session(): Promise<{ readonly wasOpen: boolean; readonly error: unknown }> {
    const { open, hello, connected, disconnected, received, clock } = this.#options;
    const stream = open();
    this.#stream = stream;
    let heardAtMs = clock.monotonic();
    let beat: NodeJS.Timeout | undefined;
    const impatience = setTimeout(() => stream.close(), welcomePatienceMs);
    try {
      void stream.send(create(AgentMessageSchema, { message: { case: "hello", value: hello() } }));
      for await (const { message } of stream.messages) {
        heardAtMs = clock.monotonic();
        if (message.case === "welcome" && !this.#isOpen) {
          clearTimeout(impatience);
          this.#isOpen = true;
          beat = this.#beat(message.value.heartbeatIntervalMs || 5_000, () => heardAtMs);
          connected(message.value, (item) => void stream.send(item));
        } else if (this.#isOpen && message.case !== "heartbeat") received(message);
      }
      return { wasOpen: this.#isOpen, error: undefined };
    } catch (error) {
      return { wasOpen: this.#isOpen, error };
    } finally {
      clearTimeout(impatience);
      clearInterval(beat);
      stream.close();
      const wasOpen = this.#isOpen;
      this.#isOpen = false;
      this.#stream = undefined;
      if (wasOpen) disconnected();
    }
  }

  /** Speaks at intervals, and gives a stream up on which nothing was heard for three of them. */
  #beat(intervalMs: number, heardAtMs: () => number): NodeJS.Timeout {
    const { clock } = this.#options;
    let sequence = 0n;
    return setInterval(() => {
      if (clock.monotonic() - heardAtMs() > silentBeats * intervalMs) return this.#stream?.close();
      sequence += 1n;
      this.send({ case: "heartbeat", value: create(HeartbeatSchema, { sentAtMs: BigInt(clock.now()), sequence }) });
    }, intervalMs);
  }

  #tell({ wasOpen, error }: { wasOpen: boolean; error: unknown }): void {
    const { log } = this.#options;
    if (isRefusal(error))
      log.error({ err: error }, "the control plane refuses this worker: its token (worker-token in SQUALL_HOME) is not the one that `up` made");
    else if (wasOpen) log.warn({ err: error }, "lost the control plane; containers go on");
    else log.debug({ err: error }, "the control plane does not answer");
  }

  async #pause(durationMs: number): Promise<void> {
    await delay(durationMs, undefined, { signal: this.#stopped.signal }).catch(() => {}); // stopped
  }
}

function isRefusal(error: unknown): boolean {
  return error instanceof GrpcError && (error.code === statusCode.unauthenticated || error.code === statusCode.permissionDenied);
}
