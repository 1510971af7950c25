/** One life of the api process: the engine, its journal, the links of workers, and a plain autoscaler. Everything here is gone when it is killed. */
import { asId, type Id } from "@squall/core/ids";
import { DispatchEngine } from "../engine.ts";
import type { ArrivedOutput, Delivery, DispatchEvent, Effect, EndReason, OutputToStore, ReportedContainer, SubmittedInput } from "../events.ts";
import type { PlantedBug } from "../planted-bug.ts";
import type { CallRow, OutputRow, SimDatabase } from "./database.ts";
import type { SimFunction } from "./functions.ts";
import { SimJournal } from "./journal.ts";
import type { SimContainer, SimWorker } from "./worker.ts";
import type { World } from "./world.ts";

export const leaseMs = 3_000;
const containersPerFunction = 4;

interface SimApiOptions {
  readonly world: World;
  readonly database: SimDatabase;
  readonly functions: readonly SimFunction[];
  readonly allWorkers: () => readonly SimWorker[];
  readonly plantedBug: PlantedBug | undefined;
}

export class SimApi {
  isDead = false;
  readonly bornAtMs: number;
  readonly workers = new Map<Id<"worker">, SimWorker>();
  readonly #lastHeardMs = new Map<Id<"worker">, number>();
  readonly #engine: DispatchEngine;
  readonly #journal: SimJournal;
  readonly #options: SimApiOptions;
  readonly #readable = new Map<Id<"functionCall">, OutputRow[]>();
  readonly #givenRetryCounts = new Map<Id<"input">, number>();
  #timerAtMs: number | undefined;

  constructor(options: SimApiOptions) {
    const { world, database, plantedBug } = options;
    this.#options = options;
    this.bornAtMs = world.nowMs;
    this.#journal = new SimJournal(world);
    this.#engine = new DispatchEngine({ epoch: ++database.epoch, plantedBug });
    this.#recover();
    this.#everySoOften();
  }

  kill(): void {
    this.isDead = true;
    this.#journal.isDead = true;
    for (const worker of [...this.workers.values()]) worker.breakLink();
  }

  // ---- what clients ask
  submit({ call, inputs, reply }: { call: CallRow; inputs: readonly SubmittedInput[]; reply: (callId: Id<"functionCall">) => void }): void {
    const { database, plantedBug } = this.#options;
    if (plantedBug === "replyBeforeStored") reply(call.callId);
    let callId = call.callId;
    this.#journal.append({
      apply: () => {
        callId = database.insertCall(call);
        database.insertInputs(callId, inputs);
      },
      done: () => {
        const row = database.calls.get(callId);
        if (row !== undefined) this.#submitted(row, inputs);
        if (plantedBug !== "replyBeforeStored") reply(callId);
      },
    });
  }

  addInputs(callId: Id<"functionCall">, inputs: readonly SubmittedInput[], reply: () => void): void {
    const { database } = this.#options;
    this.#journal.append({
      apply: () => database.insertInputs(callId, inputs),
      done: () => {
        const row = database.calls.get(callId);
        if (row !== undefined) this.#submitted(row, inputs);
        reply();
      },
    });
  }

  cancel(callId: Id<"functionCall">, reply: () => void): void {
    const { database, world } = this.#options;
    const terminateContainers = world.chance(20);
    this.#journal.append({
      apply: () => {
        const row = database.calls.get(callId);
        if (row !== undefined) row.isCancelled = true;
      },
      done: () => {
        this.#step({ type: "callCancelled", atMs: world.nowMs, callId, text: "cancelled", terminateContainers });
        reply();
      },
    });
  }

  outputs(callId: Id<"functionCall">, after: number): OutputRow[] {
    const stored = this.#options.database.outputsByCall.get(callId) ?? [];
    const fresh = this.#readable.get(callId) ?? [];
    const bySequence = new Map([...fresh, ...stored].filter((row) => row.sequence > after).map((row) => [row.sequence, row]));
    return [...bySequence.values()].sort((a, b) => a.sequence - b.sequence);
  }

  // ---- what workers say
  welcome(worker: SimWorker, report: readonly ReportedContainer[]): ReadonlySet<Id<"container">> {
    const { database, world, functions } = this.#options;
    this.workers.set(worker.workerId, worker);
    this.#lastHeardMs.set(worker.workerId, world.nowMs);
    const reported = new Set(report.map((each) => each.containerId));
    const desired = new Set<Id<"container">>();
    for (const row of database.liveContainers()) {
      if (row.workerId !== worker.workerId) continue;
      if (reported.has(row.containerId)) row.wasReported = true;
      if (!reported.has(row.containerId) && row.wasReported) continue; // its end is reported, or found missing below
      desired.add(row.containerId);
      const fn = functions.find((each) => each.policy.functionId === row.functionId);
      if (!reported.has(row.containerId) && fn !== undefined) worker.deliver(() => worker.start(row.containerId, fn));
    }
    this.#step({ type: "workerConnected", atMs: world.nowMs, workerId: worker.workerId, containers: report.filter((each) => desired.has(each.containerId)) });
    // What ended is said after this on the same link; what is still missing then is lost.
    world.after(100, () => {
      if (this.isDead || this.workers.get(worker.workerId) !== worker) return;
      for (const row of database.liveContainers()) {
        if (row.workerId === worker.workerId && row.wasReported && !worker.containers.has(row.containerId)) this.#lost(row.containerId, row.functionId);
      }
    });
    return desired;
  }

  inputsRequested(containerId: Id<"container">, functionId: Id<"function">, slots: number, requestId: bigint): void {
    const row = this.#options.database.containers.get(containerId);
    if (row !== undefined) row.wasReported = true;
    this.#step({ type: "inputsRequested", atMs: this.#options.world.nowMs, containerId, functionId, slots, requestId });
  }

  outputArrived(output: ArrivedOutput, acknowledge: () => void): void {
    this.#step({ type: "outputArrived", atMs: this.#options.world.nowMs, output });
    this.#journal.append({ apply: () => {}, done: acknowledge });
  }

  initFailed(container: SimContainer, acknowledge: () => void): void {
    const result = { bytes: new TextEncoder().encode("init failed"), dataFormat: 0, startedAtMs: 0, createdAtMs: 0 };
    const { containerId, function: fn } = container;
    this.#step({ type: "initFailed", atMs: this.#options.world.nowMs, containerId, functionId: fn.policy.functionId, result });
    this.#journal.append({ apply: () => {}, done: acknowledge });
  }

  containerEnded(container: SimContainer, reason: EndReason, acknowledge: () => void): void {
    const { containerId, function: fn } = container;
    const row = this.#options.database.containers.get(containerId);
    if (row !== undefined) row.isLive = false;
    this.#step({ type: "containerEnded", atMs: this.#options.world.nowMs, containerId, functionId: fn.policy.functionId, reason, text: reason });
    this.#journal.append({ apply: () => {}, done: acknowledge });
  }

  /** Watches that no input runs twice without need. */
  noteRunStarted(container: SimContainer, delivery: Delivery): void {
    const { world, database, allWorkers } = this.#options;
    for (const worker of allWorkers()) {
      const mustBeKnown = this.workers.has(worker.workerId) || world.nowMs - this.bornAtMs < leaseMs;
      for (const other of worker.containers.values()) {
        const running = other.running.get(delivery.attempt.inputId);
        if (other === container || running === undefined || running.isCancelled || !mustBeKnown) continue;
        if (database.containers.get(other.containerId)?.isLive)
          world.violate(`${delivery.attempt.inputId} given to ${container.containerId} while ${other.containerId} runs it`);
      }
    }
  }

  // ---- engine
  #recover(): void {
    const { database, world } = this.#options;
    const inputs = database.unfinishedInputs();
    const callIds = new Set(inputs.map((input) => input.callId));
    for (const callId of callIds) {
      const row = database.calls.get(callId);
      if (row !== undefined) this.#step({ type: "callLoaded", atMs: world.nowMs, policy: row.policy, call: database.submittedCall(row) });
    }
    this.#step({ type: "inputsLoaded", atMs: world.nowMs, inputs });
    this.#step({ type: "recovered", atMs: world.nowMs, leaseMs, containers: database.liveContainers() });
  }

  #submitted(row: CallRow, inputs: readonly SubmittedInput[]): void {
    const { database, world } = this.#options;
    const mine = inputs.filter((input) => database.inputs.has(input.inputId) && !database.outputs.has(input.inputId));
    const call = { ...database.submittedCall(row), isCancelled: row.isCancelled };
    this.#step({ type: "submitted", atMs: world.nowMs, policy: row.policy, call, inputs: mine });
  }

  #step(event: DispatchEvent): void {
    for (const effect of this.#engine.step(event)) this.#act(effect);
    const dueMs = this.#engine.nextTimerMs;
    if (dueMs === undefined || (this.#timerAtMs !== undefined && this.#timerAtMs <= dueMs)) return;
    this.#timerAtMs = dueMs;
    const { world } = this.#options;
    world.after(Math.max(0, dueMs - world.nowMs), () => {
      this.#timerAtMs = undefined;
      if (!this.isDead) this.#step({ type: "tick", atMs: world.nowMs });
    });
  }

  #act(effect: Effect): void {
    switch (effect.type) {
      case "give":
        this.#give(effect);
        return;
      case "cancel": {
        const worker = this.#workerOf(effect.containerId);
        this.#mustNotWasteWork(effect);
        worker?.deliver(() => worker.cancel(effect.containerId, effect.attempts, effect.terminateContainer));
        return;
      }
      case "storeOutput":
        this.#storeOutput(effect.output);
        return;
      case "storeAttempt": {
        const { attempt, outcome, retryCount } = effect.ended;
        this.#journal.append({ apply: () => this.#options.database.insertAttempt({ ...attempt, outcome }, retryCount), done: () => {} });
        return;
      }
      case "outputsReady":
      case "demandChanged":
        return;
      default:
        effect satisfies never;
    }
  }

  /** A restart of ours is no reason to stop what runs. */
  #mustNotWasteWork({ containerId, attempts }: Extract<Effect, { type: "cancel" }>): void {
    const { database, world } = this.#options;
    if (!database.containers.get(containerId)?.isLive || world.nowMs - this.bornAtMs >= leaseMs) return;
    for (const { inputId } of attempts) {
      const input = database.inputs.get(inputId);
      const isWanted = input !== undefined && !database.outputs.has(inputId) && !database.calls.get(input.callId)?.isCancelled;
      if (isWanted) world.violate(`${inputId} is stopped on ${containerId} for nothing`);
    }
  }

  #give(effect: Extract<Effect, { type: "give" }>): void {
    const { world } = this.#options;
    const worker = this.#workerOf(effect.containerId);
    if (worker === undefined) {
      const attempts = effect.inputs.map((delivery) => delivery.attempt);
      this.#step({ type: "giveFailed", atMs: world.nowMs, containerId: effect.containerId, attempts });
      return;
    }
    for (const { attempt, retryCount } of effect.inputs) {
      world.counters.gives++;
      const before = this.#givenRetryCounts.get(attempt.inputId);
      if (before !== undefined && retryCount <= before) world.violate(`${attempt.inputId} given again with retry count ${retryCount}`);
      this.#givenRetryCounts.set(attempt.inputId, retryCount);
    }
    worker.deliver(() => worker.receiveInputs(effect.containerId, effect.requestId, effect.inputs));
  }

  #storeOutput(output: OutputToStore): void {
    const { database, world, plantedBug } = this.#options;
    const row = outputRow(output);
    const publish = (): void => {
      this.#readable.set(row.callId, [...(this.#readable.get(row.callId) ?? []), row]);
    };
    if (plantedBug === "publishBeforeStored") publish();
    this.#journal.append({
      apply: () => database.insertOutput(row),
      done: () => {
        publish();
        this.#step({ type: "stored", atMs: world.nowMs, inputIds: [row.inputId] });
      },
    });
  }

  // ---- cluster
  #workerOf(containerId: Id<"container">): SimWorker | undefined {
    const row = this.#options.database.containers.get(containerId);
    return row && this.workers.get(row.workerId);
  }

  #everySoOften(): void {
    const { world } = this.#options;
    world.after(50, () => {
      if (this.isDead) return;
      this.#reapLost();
      this.#autoscale();
      this.#everySoOften();
    });
  }

  #reapLost(): void {
    const { world, database } = this.#options;
    for (const workerId of this.workers.keys()) this.#lastHeardMs.set(workerId, world.nowMs);
    for (const row of database.liveContainers()) {
      const heardMs = Math.max(this.#lastHeardMs.get(row.workerId) ?? 0, this.bornAtMs);
      if (world.nowMs - heardMs > leaseMs) this.#lost(row.containerId, row.functionId);
    }
  }

  #lost(containerId: Id<"container">, functionId: Id<"function">): void {
    const row = this.#options.database.containers.get(containerId);
    if (row !== undefined) row.isLive = false;
    this.#step({ type: "containerEnded", atMs: this.#options.world.nowMs, containerId, functionId, reason: "lost", text: "its worker was lost" });
  }

  #autoscale(): void {
    const { world, database, functions } = this.#options;
    const online = [...this.workers.values()];
    for (const { functionId, queuedInputs, runningInputs } of this.#engine.demand()) {
      const fn = functions.find((each) => each.policy.functionId === functionId);
      const live = database.liveContainers().filter((row) => row.functionId === functionId).length;
      const worker = world.pick(online);
      if (fn === undefined || worker === undefined || live >= Math.min(containersPerFunction, queuedInputs + runningInputs)) continue;
      const containerId = asId("container", `ta-${String(database.containers.size + 1).padStart(22, "0")}`);
      database.containers.set(containerId, { containerId, functionId, workerId: worker.workerId, isLive: true, wasReported: false });
      worker.deliver(() => worker.start(containerId, fn));
    }
  }
}

function outputRow(output: OutputToStore): OutputRow {
  const { inputId, callId, idx, sequence, outcome, attempt } = output;
  const value = outcome.from === "container" ? new TextDecoder().decode(outcome.result.bytes) : outcome.text;
  return {
    inputId,
    callId,
    idx,
    sequence,
    kind: outcome.kind,
    value,
    attempt: outcome.from === "container" && attempt ? `${attempt.epoch}.${attempt.counter}` : undefined,
  };
}
