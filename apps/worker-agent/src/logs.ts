/**
 * Ships what containers print, in offset order, over one stream for all of them. The shim keeps the bytes on disk until they are acknowledged, so
 * a control plane that is away, or slow, neither loses a line nor holds up a container.
 */
import { create } from "@bufbuild/protobuf";
import { type LogAck, type LogMessage, LogMessageSchema } from "@squall/protocol/agent";
import type { RuntimePort } from "./runtime-port.ts";

interface Tail {
  /** Everything below is durable at the api. */
  acked: number;
  /** Next offset to send in this session. */
  sent: number;
  /** Set once the container has ended and its log is whole: its last byte is below. */
  isEnding: boolean;
  /** False for a container that never ran: it has no log to read, only an end to tell. */
  readonly hasLog: boolean;
  endSent: boolean;
  readonly unsubscribe: () => void;
  readonly finished: () => void;
}

// Large enough to fill a millisecond link, small enough that a session that breaks repeats little.
const windowBytes = 1 << 20;
const chunkBytes = 128 << 10;

export type SendLog = (message: LogMessage) => void;

export class LogShipper {
  readonly #runtime: Pick<RuntimePort, "onLog" | "readLogs" | "dropLogs">;
  readonly #tails = new Map<string, Tail>();
  readonly #endings = new Map<string, Promise<void>>();
  #send: SendLog | undefined;

  constructor(runtime: Pick<RuntimePort, "onLog" | "readLogs" | "dropLogs">) {
    this.#runtime = runtime;
  }

  /** From the container's start (or adoption) on. */
  follow(containerId: string): void {
    if (this.#tails.has(containerId)) return;
    const unsubscribe = this.#runtime.onLog(containerId, () => this.#pump(containerId));
    this.#add(containerId, { hasLog: true, unsubscribe });
    this.#pump(containerId);
  }

  /** The container has ended, or never ran: resolves when the api has its whole log and knows that it is. Waits for as long as the api is away. */
  finish(containerId: string): Promise<void> {
    const tail = this.#tails.get(containerId) ?? this.#add(containerId, { hasLog: false, unsubscribe: () => {} });
    tail.isEnding = true;
    this.#pump(containerId);
    return this.#endings.get(containerId) ?? Promise.resolve();
  }

  /** Nobody wants the rest: stops shipping, `finish` resolves. */
  drop(containerId: string): void {
    const tail = this.#tails.get(containerId);
    tail?.unsubscribe();
    this.#tails.delete(containerId);
    this.#endings.delete(containerId);
    tail?.finished();
  }

  /** A new session: goes on from what is acknowledged; the api drops what it has already and says where it stands. */
  connect(send: SendLog): void {
    this.#send = send;
    for (const [containerId, tail] of this.#tails) {
      tail.sent = tail.acked;
      tail.endSent = false;
      this.#pump(containerId);
    }
  }

  disconnect(): void {
    this.#send = undefined;
  }

  acknowledged({ containerId, offset }: LogAck): void {
    const tail = this.#tails.get(containerId);
    if (!tail) return;
    const through = Number(offset);
    if (through > tail.acked) {
      tail.acked = through;
      tail.sent = Math.max(tail.sent, through);
      this.#runtime.dropLogs(containerId, { belowOffset: through });
    }
    if (tail.endSent && tail.acked >= tail.sent) this.drop(containerId);
    else this.#pump(containerId);
  }

  #add(containerId: string, source: Pick<Tail, "hasLog" | "unsubscribe">): Tail {
    const { promise, resolve } = Promise.withResolvers<void>();
    const tail: Tail = { ...source, acked: 0, sent: 0, isEnding: false, endSent: false, finished: resolve };
    this.#endings.set(containerId, promise);
    this.#tails.set(containerId, tail);
    return tail;
  }

  #pump(containerId: string): void {
    const tail = this.#tails.get(containerId);
    const send = this.#send;
    if (!tail || !send || tail.endSent) return;
    while (tail.sent - tail.acked < windowBytes) {
      let isEmpty = true;
      const chunks = tail.hasLog ? this.#runtime.readLogs(containerId, { offset: tail.sent, maxBytes: chunkBytes }) : [];
      for (const { offset, frames } of chunks) {
        isEmpty = false;
        send(create(LogMessageSchema, { containerId, offset: BigInt(offset), frames }));
        tail.sent = offset + frames.length;
      }
      if (!isEmpty) continue;
      if (tail.isEnding) {
        tail.endSent = true;
        send(create(LogMessageSchema, { containerId, offset: BigInt(tail.sent), end: true }));
      }
      return;
    }
  }
}
