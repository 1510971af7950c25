/**
 * What containers produced and the control plane has not stored yet: outputs, generator chunks and init failures, strictly in order.
 *
 * A container is answered as soon as its output is in here, not when the control plane has stored it: its next input then need not wait for a
 * commit, and a control plane that is away for a minute stops no container that still has work. The price: an agent that is killed between the
 * two loses the output, its input is redelivered (at least once, as promised). Chunks of a generator have no such way back, since its input goes on:
 * they are answered when they are stored (`addStored`), and the container sends them again when the agent is killed before. The box is bounded in
 * bytes, for each container and in all; a full one makes `add` wait, and with it the container.
 *
 * Sequence numbers belong to one link session: `connect` numbers and sends everything again from 1.
 */
import { create } from "@bufbuild/protobuf";
import { type AgentMessage, AgentMessageSchema, type DataChunks, type InitFailure, type Output } from "@squall/protocol/agent";

export type OutboxItem =
  | { readonly kind: "output"; readonly containerId: string; readonly output: Output }
  | { readonly kind: "dataChunks"; readonly containerId: string; readonly chunks: DataChunks }
  | { readonly kind: "initFailure"; readonly containerId: string; readonly failure: InitFailure };

interface Entry {
  readonly item: OutboxItem;
  readonly sizeBytes: number;
  /** 0 while unsent in the present session. */
  sequence: bigint;
  readonly acknowledged: (() => void) | undefined;
}

const maxBytes = 256 << 20;
// One container that prints results faster than they are stored must not hold up the others.
const maxContainerBytes = 32 << 20;
const maxOutputsPerBatch = 256;
const maxBatchBytes = 1 << 20;

type Send = (message: AgentMessage) => void;

export class Outbox {
  #entries: Entry[] = [];
  #bytes = 0;
  readonly #containerBytes = new Map<string, number>();
  #sequence = 0n;
  #send: Send | undefined;
  #flushScheduled = false;
  #roomWaiters: (() => void)[] = [];

  /** Resolves when the item is kept; waits while the box, or the container's part of it, is full. Items are sent in the order of the calls that resolved. */
  async add(item: OutboxItem, acknowledged?: () => void): Promise<void> {
    while (this.#bytes > maxBytes || this.#bytesOf(item.containerId) > maxContainerBytes) await new Promise<void>((resolve) => this.#roomWaiters.push(resolve));
    this.#keep(item, acknowledged);
  }

  /** Keeps an item of the agent's own, a few bytes that stand for an input, at once and whatever the box holds: an end that follows must not overtake it. */
  addNow(item: OutboxItem): void {
    this.#keep(item, undefined);
  }

  /** As `add`, but resolves when the control plane has stored the item: for what could not be had again. */
  async addStored(item: OutboxItem): Promise<void> {
    const stored = Promise.withResolvers<void>();
    await this.add(item, stored.resolve);
    await stored.promise;
  }

  /** A new link session: everything unacknowledged goes out again, at once, before anything else that the caller sends after this. */
  connect(send: Send): void {
    this.#send = send;
    this.#sequence = 0n;
    for (const entry of this.#entries) entry.sequence = 0n;
    this.flush();
  }

  disconnect(): void {
    this.#send = undefined;
  }

  acknowledge(throughSequence: bigint): void {
    let count = 0;
    for (const entry of this.#entries) {
      if (entry.sequence === 0n || entry.sequence > throughSequence) break;
      this.#count(entry.item.containerId, -entry.sizeBytes);
      count++;
    }
    if (count === 0) return;
    for (const { acknowledged } of this.#entries.splice(0, count)) acknowledged?.();
    for (const resolve of this.#roomWaiters.splice(0)) resolve();
  }

  /** Whether something of this container is still unacknowledged. */
  holds(containerId: string): boolean {
    return this.#bytesOf(containerId) > 0;
  }

  /** Attempts whose output is still unacknowledged: they count as running when the agent reports itself. */
  unacknowledgedOutputs(containerId: string): Output[] {
    return this.#entries.flatMap(({ item }) => (item.kind === "output" && item.containerId === containerId ? [item.output] : []));
  }

  /** Sends what was added so far now, instead of at the end of this tick: call it before a message that must come after. */
  flush(): void {
    this.#flushScheduled = false;
    const send = this.#send;
    if (!send) return;
    let batch: Output[] = [];
    let batchBytes = 0;
    const closeBatch = () => {
      if (batch.length > 0) send(create(AgentMessageSchema, { message: { case: "outputs", value: { sequence: this.#sequence, outputs: batch } } }));
      batch = [];
      batchBytes = 0;
    };
    for (const entry of this.#entries) {
      if (entry.sequence !== 0n) continue;
      if (entry.item.kind !== "output" || batch.length >= maxOutputsPerBatch || batchBytes > maxBatchBytes) closeBatch();
      this.#sequence += 1n;
      entry.sequence = this.#sequence;
      if (entry.item.kind === "output") {
        batch.push(entry.item.output);
        batchBytes += entry.sizeBytes;
      } else send(numbered(entry.item, this.#sequence));
    }
    closeBatch();
  }

  #keep(item: OutboxItem, acknowledged: (() => void) | undefined): void {
    const sizeBytes = itemBytes(item);
    this.#entries.push({ item, sizeBytes, sequence: 0n, acknowledged });
    this.#count(item.containerId, sizeBytes);
    this.#scheduleFlush();
  }

  #bytesOf(containerId: string): number {
    return this.#containerBytes.get(containerId) ?? 0;
  }

  #count(containerId: string, bytes: number): void {
    this.#bytes += bytes;
    const rest = this.#bytesOf(containerId) + bytes;
    if (rest > 0) this.#containerBytes.set(containerId, rest);
    else this.#containerBytes.delete(containerId);
  }

  #scheduleFlush(): void {
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    setImmediate(() => {
      if (this.#flushScheduled) this.flush();
    });
  }
}

function numbered(item: Exclude<OutboxItem, { kind: "output" }>, sequence: bigint): AgentMessage {
  if (item.kind === "dataChunks") return create(AgentMessageSchema, { message: { case: "dataChunks", value: { ...item.chunks, sequence } } });
  return create(AgentMessageSchema, { message: { case: "initFailure", value: { ...item.failure, sequence } } });
}

function itemBytes(item: OutboxItem): number {
  const overheadBytes = 256;
  if (item.kind === "output") return item.output.result.length + overheadBytes;
  if (item.kind === "initFailure") return item.failure.result.length + overheadBytes;
  return item.chunks.chunks.reduce((sum, chunk) => sum + chunk.length, overheadBytes);
}
