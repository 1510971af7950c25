/**
 * Drives the dispatch engine: feeds it what callers, workers and the clock bring, and does what it asks, in its order. Holds no rule of its own;
 * what must outlive the process goes through the journal before anybody is told.
 */
import { fromBinary } from "@bufbuild/protobuf";
import type { Id } from "@squall/core/ids";
import { DispatchEngine } from "@squall/dispatch/engine";
import type { DispatchEvent, Effect, ArrivedOutput as EngineOutput, SubmittedCall } from "@squall/dispatch/events";
import { DataChunkSchema } from "@squall/protocol/modal";
import type { ServiceDeps } from "@squall/services/context";
import type { CallEngine, SubmittedInputWithPayload } from "@squall/services/function-call/call-engine";
import { CallInfos } from "@squall/services/function-call/call-info";
import { type CallTarget, CallTargets } from "@squall/services/function-call/call-target";
import { OutputLog } from "@squall/services/function-call/output-log";
import { endOlderJournals, journalApplication, loadUnfinished, takeShard } from "@squall/services/input/load-unfinished";
import { Payloads } from "@squall/services/input/payloads";
import { Journal } from "@squall/services/journal/journal";
import { LargeBytes } from "@squall/services/journal/large-bytes";
import { PatientSql } from "@squall/services/journal/patient-sql";
import type { Sql, SqlConnection } from "@squall/services/journal/sql";
import { readResult } from "../wire/result.ts";
import { chunkKey, DispatchStores, resultKey } from "./dispatch-stores.ts";
import { describeExit } from "./exit-text.ts";
import type { AgentPort, ArrivedOutput, AttemptKey, ContainerExit, DispatchPort, FunctionDemand, InputDelivery, ReportedContainer } from "./ports.ts";

export interface DispatcherOptions {
  readonly deps: Pick<ServiceDeps, "db" | "objects" | "clock" | "log">;
  /** Asked at each use: the gateway is made after dispatch. */
  readonly agents: () => AgentPort;
  /** Names this process in the shard's row. */
  readonly owner: string;
  /** How long a worker that may be running inputs is waited for after a restart. */
  readonly leaseMs?: number;
}

const defaultLeaseMs = 30_000;
const payloadRetryMs = 500;
const maxTimerMs = 2 ** 31 - 1; // what setTimeout takes

/** Takes the shard, loads the backlog and is ready for workers and callers when it resolves. */
export async function startDispatcher(options: DispatcherOptions): Promise<Dispatcher> {
  const epoch = await takeShard(options.deps.db.engine, options.owner);
  await endOlderJournals(options.deps.db.engine);
  const dispatcher = new Dispatcher(options, epoch);
  await dispatcher.recover(options.leaseMs ?? defaultLeaseMs);
  return dispatcher;
}

export class Dispatcher implements DispatchPort, CallEngine {
  readonly journal: Journal;
  readonly sql: Sql;
  readonly targets: CallTargets;
  readonly infos: CallInfos;
  readonly outputs = new OutputLog();
  readonly #options: DispatcherOptions;
  readonly #engine: DispatchEngine;
  readonly #payloads: Payloads;
  readonly #largeBytes: LargeBytes;
  readonly #stores: DispatchStores;
  readonly #events: DispatchEvent[] = [];
  #isStepping = false;
  #timer: NodeJS.Timeout | undefined;
  #timerAtMs = Number.POSITIVE_INFINITY;
  #onDemand: ((functionId: Id<"function">) => void) | undefined;
  readonly #changedDemand = new Set<Id<"function">>();

  constructor(options: DispatcherOptions, epoch: number) {
    const { db, objects, clock, log } = options.deps;
    this.#options = options;
    this.#engine = new DispatchEngine({ epoch });
    this.journal = new Journal({ connect: () => connectJournal(options.deps), log });
    this.sql = new PatientSql(db.engine);
    this.targets = new CallTargets(this.sql, clock);
    this.infos = new CallInfos(this.sql);
    this.#payloads = new Payloads({ sql: this.sql, objects });
    this.#largeBytes = new LargeBytes(objects);
    this.#stores = new DispatchStores({ journal: this.journal, outputs: this.outputs, largeBytes: this.#largeBytes, clock, log });
  }

  async recover(leaseMs: number): Promise<void> {
    const backlog = await loadUnfinished(this.#options.deps.db.engine, {
      onCalls: (target, calls) => {
        for (const call of calls) this.#step({ type: "callLoaded", atMs: this.#nowMs, policy: target.policy, call });
      },
      onInputs: (inputs) => this.#step({ type: "inputsLoaded", atMs: this.#nowMs, inputs }),
    });
    this.#step({ type: "recovered", atMs: this.#nowMs, leaseMs, containers: backlog.containers });
    for (const appId of backlog.stoppedApps) void this.cancelApp(appId, "The app was stopped.");
    this.#options.deps.log.info({ inputs: backlog.inputCount, containers: backlog.containers.length }, "dispatch recovered its backlog");
  }

  /** Writes what is under way; nothing may be asked of the dispatcher afterwards. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await this.journal.close();
  }

  // ---- CallEngine: what the verbs of calls tell and ask
  submitted(target: CallTarget, call: SubmittedCall, inputs: readonly SubmittedInputWithPayload[]): void {
    for (const { inputId, payload } of inputs) if (payload !== undefined) this.#payloads.keep(inputId, payload);
    this.#step({ type: "submitted", atMs: this.#nowMs, policy: target.policy, call, inputs });
  }

  cancelled(callId: Id<"functionCall">, { text, terminateContainers }: { readonly text: string; readonly terminateContainers: boolean }): void {
    this.#step({ type: "callCancelled", atMs: this.#nowMs, callId, text, terminateContainers });
  }

  closed(callId: Id<"functionCall">): void {
    this.#step({ type: "callClosed", atMs: this.#nowMs, callId });
  }

  hasCall(callId: Id<"functionCall">): boolean {
    return this.#engine.hasCall(callId);
  }

  unfinishedInputs(callId: Id<"functionCall">): number {
    return this.#engine.unfinishedInputs(callId);
  }

  isRunning(callId: Id<"functionCall">): boolean {
    return this.#engine.isRunning(callId);
  }

  unfinishedInputsOf(workspaceId: Id<"workspace">): number {
    return this.#engine.unfinishedInputsOf(workspaceId);
  }

  // ---- DispatchPort: what the gateway and the cluster tell and ask
  workerConnected(workerId: Id<"worker">, containers: readonly ReportedContainer[]): void {
    this.#step({ type: "workerConnected", atMs: this.#nowMs, workerId, containers });
  }

  /** Nothing to do: what cannot be sent comes back, what runs there stays its own until the worker is heard or declared lost. */
  workerDisconnected(_workerId: Id<"worker">): void {}

  inputsRequested(containerId: Id<"container">, functionId: Id<"function">, slots: number, requestId: bigint): void {
    this.#step({ type: "inputsRequested", atMs: this.#nowMs, containerId, functionId, slots, requestId });
  }

  async outputsArrived(outputs: readonly ArrivedOutput[]): Promise<void> {
    const readable = outputs.map(engineOutput);
    const stored = readable.map(({ attempt, result }) => ({ key: resultKey(attempt), bytes: result.bytes }));
    await this.#largeBytes.inOrder(stored, () => {
      for (const output of readable) this.#step({ type: "outputArrived", atMs: this.#nowMs, output });
    });
    await this.journal.barrier();
  }

  async dataChunksArrived(containerId: Id<"container">, attempt: AttemptKey, callId: Id<"functionCall">, chunks: readonly Uint8Array[]): Promise<void> {
    const indexed = chunks.map((bytes) => {
      const idx = Number(fromBinary(DataChunkSchema, bytes).index);
      return { idx, bytes, key: chunkKey(callId, idx, attempt) };
    });
    await this.#largeBytes.inOrder(indexed, () => {
      const owner = this.#engine.ownerOf(attempt);
      if (owner?.callId === callId) this.#stores.chunks(owner, indexed);
      else this.#options.deps.log.info({ containerId, attempt, callId }, "chunks of a superseded attempt refused");
    });
    await this.journal.barrier();
  }

  async initFailed(containerId: Id<"container">, functionId: Id<"function">, result: Uint8Array): Promise<void> {
    const createdAtMs = this.#options.deps.clock.now();
    const { bytes } = readResult(result);
    const outcome = { bytes, dataFormat: 0, startedAtMs: createdAtMs, createdAtMs };
    await this.#largeBytes.inOrder([], () => this.#step({ type: "initFailed", atMs: this.#nowMs, containerId, functionId, result: outcome }));
    await this.journal.barrier();
  }

  async containerEnded(containerId: Id<"container">, functionId: Id<"function">, exit: ContainerExit): Promise<void> {
    const text = describeExit(exit);
    // Outputs that came before it may still be on their way into objects: an end must not overtake them, or their inputs would run again.
    await this.#largeBytes.inOrder([], () => this.#step({ type: "containerEnded", atMs: this.#nowMs, containerId, functionId, reason: exit.reason, text }));
    await this.journal.barrier();
  }

  async cancelApp(appId: Id<"app">, reason: string): Promise<void> {
    this.#step({ type: "appCancelled", atMs: this.#nowMs, appId, text: reason });
    await this.journal.barrier();
  }

  demand(): readonly FunctionDemand[] {
    return this.#engine.demand();
  }

  onDemand(listener: (functionId: Id<"function">) => void): void {
    this.#onDemand = listener;
  }

  // ---- the loop
  get #nowMs(): number {
    return this.#options.deps.clock.monotonic();
  }

  /** One event at a time: what an effect causes at once waits until the effects before it are done, so that order holds. */
  #step(event: DispatchEvent): void {
    this.#events.push(event);
    if (this.#isStepping) return;
    this.#isStepping = true;
    try {
      for (let next = this.#events.shift(); next !== undefined; next = this.#events.shift()) {
        for (const effect of this.#engine.step(next)) this.#act(effect);
      }
    } finally {
      this.#isStepping = false;
    }
    this.#armTimer();
  }

  #armTimer(): void {
    const dueMs = this.#engine.nextTimerMs;
    if (dueMs === undefined || dueMs >= this.#timerAtMs) return;
    clearTimeout(this.#timer);
    this.#timerAtMs = dueMs;
    const delayMs = Math.min(maxTimerMs, Math.max(0, Math.ceil(dueMs - this.#nowMs)));
    this.#timer = setTimeout(() => {
      this.#timerAtMs = Number.POSITIVE_INFINITY;
      this.#step({ type: "tick", atMs: this.#nowMs });
    }, delayMs);
  }

  #act(effect: Effect): void {
    switch (effect.type) {
      case "give":
        this.#give(effect);
        return;
      case "cancel":
        // A worker that is away hears it again when it reports what it runs.
        this.#options.agents().cancelInputs(effect.containerId, effect.attempts, effect.terminateContainer);
        return;
      case "storeOutput":
        this.#payloads.drop(effect.output.inputId);
        this.#stores.output(effect.output, () => this.#step({ type: "stored", atMs: this.#nowMs, inputIds: [effect.output.inputId] }));
        return;
      case "storeAttempt":
        this.#stores.attempt(effect.ended);
        return;
      case "outputsReady":
        this.outputs.wake(effect.callId);
        return;
      case "demandChanged":
        this.#demandChanged(effect.functionId);
        return;
      default:
        effect satisfies never;
    }
  }

  #give(give: Extract<Effect, { type: "give" }>): void {
    const payloads = this.#payloads.takeKept(give.inputs.map(({ attempt }) => attempt.inputId));
    if (payloads !== undefined) this.#send(give, payloads);
    else void this.#giveStored(give);
  }

  /** Asks the database for what memory does not hold, until it answers: the inputs are this container's meanwhile. */
  async #giveStored(give: Extract<Effect, { type: "give" }>): Promise<void> {
    for (;;) {
      try {
        const inputs = give.inputs.filter(({ attempt }) => this.#engine.isCurrent(attempt));
        const payloads = await this.#payloads.take(inputs.map(({ attempt }) => attempt.inputId));
        this.#send({ ...give, inputs }, payloads);
        return;
      } catch (error) {
        this.#options.deps.log.warn({ err: error, containerId: give.containerId }, "payloads could not be read, trying again");
        await new Promise((resolve) => setTimeout(resolve, payloadRetryMs));
      }
    }
  }

  #send({ containerId, requestId, inputs }: Extract<Effect, { type: "give" }>, payloads: readonly Uint8Array[]): void {
    const deliveries: InputDelivery[] = [];
    for (const [n, { attempt, callId, invocation, retryCount }] of inputs.entries()) {
      const input = payloads[n];
      if (input === undefined || !this.#engine.isCurrent(attempt)) continue;
      deliveries.push({ attempt, functionCallId: callId, input, invocationType: invocation, retryCount });
    }
    if (deliveries.length === 0) return;
    const attempts = deliveries.map(({ attempt }) => attempt);
    if (!this.#options.agents().sendInputs(containerId, requestId, deliveries)) {
      this.#step({ type: "giveFailed", atMs: this.#nowMs, containerId, attempts });
      return;
    }
    // Cancelled while their payloads were read: the word came before the inputs, and meant nothing to their worker.
    const cancelled = attempts.filter((attempt) => this.#engine.isCancelling(attempt));
    if (cancelled.length > 0) this.#options.agents().cancelInputs(containerId, cancelled, false);
  }

  #demandChanged(functionId: Id<"function">): void {
    if (this.#onDemand === undefined) return;
    if (this.#changedDemand.size === 0) {
      queueMicrotask(() => {
        const changed = [...this.#changedDemand];
        this.#changedDemand.clear();
        for (const each of changed) this.#onDemand?.(each);
      });
    }
    this.#changedDemand.add(functionId);
  }
}

async function connectJournal({ db, log }: Pick<ServiceDeps, "db" | "log">): Promise<SqlConnection> {
  const connection = await db.connectEngine();
  // The journal learns of a loss from its next statement; here it is only kept from ending the process.
  connection.on("error", (error) => log.warn({ err: error }, "the journal's connection was lost"));
  await connection.query("SELECT set_config('application_name', $1, false)", [journalApplication]);
  return connection;
}

function engineOutput({ containerId, attempt, result, dataFormat, startedAtMs, createdAtMs }: ArrivedOutput): EngineOutput {
  const { kind, bytes } = readResult(result);
  return { containerId, attempt, kind, result: { bytes, dataFormat, startedAtMs, createdAtMs } };
}
