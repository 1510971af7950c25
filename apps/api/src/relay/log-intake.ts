/** `AgentLink.Logs`: one stream per worker with the logs of all its containers. What is acknowledged is on the disk. */
import { create } from "@bufbuild/protobuf";
import { asId, type Id } from "@squall/core/ids";
import { GrpcError, statusCode } from "@squall/grpc/handler";
import { type LogAck, LogAckSchema, type LogMessage } from "@squall/protocol/agent";
import type { Logger } from "@squall/services/log";
import type { LogFiles } from "@squall/services/log/log-files";
import type { LogOwner } from "@squall/services/log/log-owner";
import { decodeLogFrames } from "@squall/streams/log-frames";
import { ByteQueue } from "../agents/byte-queue.ts";
import type { AppLogs } from "./app-logs.ts";

/** The gateway: which worker a session belongs to. */
export interface AgentSessions {
  sessionOf(session: string): { readonly workerId: Id<"worker"> } | undefined;
}

export interface LogIntakeOptions {
  readonly messages: AsyncIterable<LogMessage>;
  readonly signal: AbortSignal;
  readonly sessions: AgentSessions;
  readonly files: LogFiles;
  readonly owner: (containerId: string) => Promise<LogOwner | undefined>;
  readonly withApp: (appId: Id<"app">, act: (app: AppLogs) => Promise<void>) => Promise<void>;
  readonly log: Logger;
}

/** Bytes of one stream that wait to be written; the stream is not read while there are more. */
const maxWaitingBytes = 8 * 1024 * 1024;

/** Acknowledgements in the order in which logs were stored. Ends with the stream. */
export async function* receiveLogs(options: LogIntakeOptions): AsyncIterable<LogAck> {
  const iterator = options.messages[Symbol.asyncIterator]();
  const first = await iterator.next();
  const session = first.done ? undefined : options.sessions.sessionOf(first.value.session);
  if (!session) throw new GrpcError(statusCode.unauthenticated, "the first message names a session of a link that is open");
  const intake = new LogIntake(session.workerId, options);
  const reading = intake.readAll(iterator);
  reading.catch(() => {}); // awaited below, once the acknowledgements have ended
  options.signal.addEventListener("abort", () => intake.acks.end(), { once: true });
  try {
    yield* intake.acks;
    if (!options.signal.aborted) await reading;
  } finally {
    intake.acks.end();
  }
}

interface Lane {
  readonly waiting: LogMessage[];
  owner: LogOwner | undefined;
  isRunning: boolean;
}

class LogIntake {
  readonly acks = new ByteQueue<LogAck>(maxWaitingBytes);
  readonly #workerId: Id<"worker">;
  readonly #options: LogIntakeOptions;
  readonly #lanes = new Map<string, Lane>();
  #waitingBytes = 0;
  #failure: unknown;
  #wake: (() => void) | undefined;

  constructor(workerId: Id<"worker">, options: LogIntakeOptions) {
    this.#workerId = workerId;
    this.#options = options;
  }

  async readAll(messages: AsyncIterator<LogMessage>): Promise<void> {
    try {
      for (let next = await messages.next(); !next.done && this.#failure === undefined; next = await messages.next()) {
        this.#take(next.value);
        while (this.#waitingBytes > maxWaitingBytes && this.#failure === undefined) await new Promise<void>((resolve) => (this.#wake = resolve));
      }
      if (this.#failure !== undefined) throw this.#failure;
    } finally {
      this.acks.end();
    }
  }

  #take(message: LogMessage): void {
    const { frames, containerId } = message;
    if (decodeLogFrames(frames).lengthBytes !== frames.length) throw new GrpcError(statusCode.invalidArgument, `log of ${containerId}: not whole frames`);
    const lane = this.#lanes.get(containerId) ?? { waiting: [], owner: undefined, isRunning: false };
    this.#lanes.set(containerId, lane);
    lane.waiting.push(message);
    this.#waitingBytes += frames.length;
    if (!lane.isRunning) void this.#run(containerId, lane);
  }

  /** Stores what waits for one container, all that has gathered at once, until nothing waits. */
  async #run(containerId: string, lane: Lane): Promise<void> {
    lane.isRunning = true;
    try {
      for (let batch = lane.waiting.splice(0); batch.length > 0; batch = lane.waiting.splice(0)) {
        await this.#store(containerId, lane, batch);
        for (const { frames } of batch) this.#waitingBytes -= frames.length;
        this.#wake?.();
      }
    } catch (error) {
      this.#failure ??= error;
      this.#options.log.error({ err: error, containerId }, "a log could not be stored");
      this.acks.end();
      this.#wake?.();
    } finally {
      lane.isRunning = false;
    }
  }

  async #store(containerId: string, lane: Lane, batch: readonly LogMessage[]): Promise<void> {
    lane.owner ??= await this.#options.owner(containerId);
    const { owner } = lane;
    const end = Math.max(...batch.map(({ offset, frames }) => Number(offset) + frames.length));
    if (owner?.workerId !== this.#workerId) {
      // Nobody can ever read it; without an answer the agent would keep it for ever.
      this.#options.log.warn({ containerId, workerId: this.#workerId }, "a log of a container that this worker does not have was dropped");
      this.#acknowledge(containerId, end);
      return;
    }
    await this.#options.withApp(owner.appId, async ({ feed }) => {
      const id = asId("container", containerId);
      let durable = 0;
      for (const { offset, bytes } of joined(batch)) {
        const appended = await this.#options.files.append(containerId, { offset, bytes });
        durable = appended.endOffset;
        if (appended.missingBytes > 0) this.#options.log.warn({ containerId, missingBytes: appended.missingBytes }, "a log has a hole");
        if (appended.lengthBytes > 0) {
          await feed.append({ kind: "bytes", containerId: id, functionId: owner.functionId, offset: appended.offset, lengthBytes: appended.lengthBytes });
        }
      }
      if (batch.some((message) => message.end)) {
        if (!feed.isComplete(id)) await feed.append({ kind: "end", containerId: id });
        this.#lanes.delete(containerId);
      }
      this.#acknowledge(containerId, Math.max(durable, end));
    });
  }

  #acknowledge(containerId: string, offset: number): void {
    this.acks.push(create(LogAckSchema, { containerId, offset: BigInt(offset) }), 1);
  }
}

/** Neighbouring chunks as one: one write and one sync for all that has gathered. */
function joined(batch: readonly LogMessage[]): { readonly offset: number; readonly bytes: Uint8Array }[] {
  const runs: { readonly offset: number; readonly parts: Uint8Array[]; end: number }[] = [];
  for (const { offset, frames } of batch) {
    if (frames.length === 0) continue;
    const last = runs.at(-1);
    if (last && last.end === Number(offset)) {
      last.parts.push(frames);
      last.end += frames.length;
    } else {
      runs.push({ offset: Number(offset), parts: [frames], end: Number(offset) + frames.length });
    }
  }
  return runs.map(({ offset, parts: [first = new Uint8Array(), ...rest] }) => ({ offset, bytes: rest.length === 0 ? first : Buffer.concat([first, ...rest]) }));
}
