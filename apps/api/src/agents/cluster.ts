/**
 * The cluster inside the api: applies what workers report and what the scheduler decides to the one state in memory, writes it, and tells dispatch.
 * Decides nothing itself. Everything it does may be repeated: reports are resent, stops are said again at every connect.
 */

import { isBeforeFirstInput } from "@squall/core/container-lifecycle";
import { ServiceError } from "@squall/core/errors";
import type { Id } from "@squall/core/ids";
import type { ContainerReport, Hello } from "@squall/protocol/agent";
import { authorize } from "@squall/services/authorize";
import type { ContainerStop } from "@squall/services/cluster/place";
import type { ClusterState, ContainerRecord } from "@squall/services/cluster/state";
import { whyWaiting } from "@squall/services/cluster/why-waiting";
import { ContainerChangeLog } from "@squall/services/container/change-log";
import type { ServiceContext, ServiceDeps } from "@squall/services/context";
import type { RegisteredWorker, WorkerDescription } from "@squall/services/worker/register";
import { attemptFrom, eventFrom, exitFrom, idFrom } from "./from-agent.ts";
import type { ControlContent } from "./link-session.ts";
import type { ClusterPort, ContainerExit, DispatchPort, ReportedContainer } from "./ports.ts";

/** The way to the workers; implemented by the gateway. */
export interface WorkerLinks {
  /** False when the worker is not connected. */
  send(workerId: Id<"worker">, message: ControlContent): boolean;
  /** Asks the worker to start these; a worker that is away learns of them when it connects. */
  start(workerId: Id<"worker">, containers: readonly ContainerRecord[]): void;
}

export interface ClusterOptions {
  readonly deps: Pick<ServiceDeps, "db" | "clock" | "log">;
  readonly state: ClusterState;
  readonly dispatch: DispatchPort;
  readonly links: () => WorkerLinks;
  /** Something that placement decides by has changed. */
  readonly changed: () => void;
}

export class Cluster implements ClusterPort {
  readonly state: ClusterState;
  readonly #options: ClusterOptions;
  readonly #changes: ContainerChangeLog;
  readonly #onEnd = new Set<() => void>();

  constructor(options: ClusterOptions) {
    this.state = options.state;
    this.#options = options;
    this.#changes = new ContainerChangeLog(options.deps);
  }

  // ---- what workers say
  workerRegistered({ workerId, epoch, state }: RegisteredWorker, { name, milliCpu, memoryBytes, gpus }: WorkerDescription): void {
    const lastHeardMs = this.#nowMs;
    this.state.workers.set(workerId, { workerId, name, epoch, state, milliCpu, memoryBytes, gpus, isConnected: true, lastHeardMs });
    this.#options.changed();
  }

  workerDisconnected(workerId: Id<"worker">): void {
    const worker = this.state.workers.get(workerId);
    if (worker !== undefined) worker.isConnected = false;
    this.#options.dispatch.workerDisconnected(workerId);
    this.#options.changed();
  }

  heard(workerId: Id<"worker">): void {
    const worker = this.state.workers.get(workerId);
    if (worker !== undefined) worker.lastHeardMs = this.#nowMs;
  }

  /** Everything that a worker holds, at its connect. What it was known to hold and no longer has is lost. Resolves when ends are stored. */
  async adopt(workerId: Id<"worker">, { containers }: Pick<Hello, "containers">): Promise<void> {
    const reported = new Set(containers.map((report) => idFrom("container", report.containerId)));
    for (const report of containers) this.#note(workerId, report);
    this.#options.dispatch.workerConnected(
      workerId,
      containers.flatMap((report) => this.#reportedContainer(report)),
    );
    const missing = this.state.containersOf(workerId).filter((container) => container.isReported && !reported.has(container.containerId));
    const lost: ContainerExit = { reason: "lost", code: 0, message: "its worker restarted without it" };
    const ends = missing.map((container) => this.end(container.containerId, lost));
    for (const report of containers) if (report.exit !== undefined) ends.push(this.#reportedEnd(workerId, report));
    await Promise.all(ends);
  }

  async reported(workerId: Id<"worker">, report: ContainerReport): Promise<void> {
    const containerId = idFrom("container", report.containerId);
    if (!this.state.isHolder(workerId, containerId)) return;
    if (report.exit !== undefined) await this.#reportedEnd(workerId, report);
    else if (this.state.containers.has(containerId)) this.#note(workerId, report);
    else this.#options.links().send(workerId, stopMessage(containerId, { isGraceful: false, reason: "the control plane does not know it" }));
  }

  /** A container has ended, by a report or because nobody will ever report it. Resolves when that is stored; its inputs are dispatch's from then on. */
  async end(containerId: Id<"container">, exit: ContainerExit): Promise<void> {
    const container = this.state.end(containerId, this.#nowMs);
    if (container === undefined) return;
    const { reason, code, message } = exit;
    this.#options.changed();
    const atMs = this.#options.deps.clock.now();
    await Promise.all([
      this.#changes.append({ containerId, state: "exited", exit: { reason, code, message, atMs } }),
      this.#options.dispatch.containerEnded(containerId, container.functionId, exit),
    ]);
    for (const tell of this.#onEnd) tell();
  }

  /** Nothing was heard of the worker for its whole lease: what it runs is given to others. */
  async loseWorker(workerId: Id<"worker">): Promise<void> {
    const worker = this.state.workers.get(workerId);
    if (worker?.state === "online") worker.state = "lost";
    const exit: ContainerExit = { reason: "lost", code: 0, message: `its worker ${worker?.name ?? workerId} was not heard of any more` };
    await Promise.all(this.state.containersOf(workerId).map((container) => this.end(container.containerId, exit)));
  }

  // ---- what the scheduler decided
  /** Sends new containers to their workers; those of an app that began to stop meanwhile are stopped before they start. */
  start(containers: readonly ContainerRecord[]): void {
    for (const container of containers) {
      if (this.state.isStopping(container.appId)) this.stop(container, { isGraceful: false, reason: "its app was stopped" });
    }
    const byWorker = Map.groupBy(
      containers.filter((container) => container.stop === undefined),
      (container) => container.workerId,
    );
    for (const [workerId, group] of byWorker) this.#options.links().start(workerId, group);
  }

  stopSurplus(stops: readonly ContainerStop[]): void {
    for (const { containerId, reason } of stops) {
      const container = this.state.containers.get(containerId);
      const text = reason === "surplus" ? "it was idle for its whole window" : "it was idle and its place is needed";
      if (container !== undefined) this.stop(container, { isGraceful: true, reason: text });
    }
  }

  /** Asks its worker to end it; asked again, only a harder stop has an effect. */
  stop(container: ContainerRecord, stop: { readonly isGraceful: boolean; readonly reason: string }): void {
    if (container.stop !== undefined && (stop.isGraceful || !container.stop.isGraceful)) return;
    container.stop = stop;
    // It will take no further input: what waits goes to others at once, not after a detour.
    if (container.state === "ready") this.#options.dispatch.inputsRequested(container.containerId, container.functionId, 0, 0n);
    if (this.state.move(container.containerId, "stop", this.#nowMs)) this.#store(container);
    this.#options.links().send(container.workerId, stopMessage(container.containerId, stop));
  }

  // ---- ClusterPort
  whyWaiting(functionId: Id<"function">): readonly string[] {
    const demand = this.#options.dispatch.demand().find((entry) => entry.functionId === functionId);
    return whyWaiting(this.state, demand, this.#nowMs);
  }

  isStarting(functionId: Id<"function">): boolean {
    return [...this.state.containers.values()].some((each) => each.functionId === functionId && each.stop === undefined && isBeforeFirstInput(each.state));
  }

  async stopApp(appId: Id<"app">, withinMs: number): Promise<void> {
    this.state.stopApp(appId);
    const left = () => [...this.state.containers.values()].filter((container) => container.appId === appId);
    for (const container of left()) this.stop(container, { isGraceful: false, reason: "its app was stopped" });
    if (left().length > 0) await this.#until(() => left().length === 0, withinMs);
  }

  async stopContainer(ctx: ServiceContext, containerId: Id<"container">, graceful: boolean): Promise<void> {
    authorize(ctx, "container", "write");
    const container = this.state.containers.get(containerId);
    if (container === undefined || container.workspaceId !== ctx.workspace.id || !isOwn(ctx, container)) {
      throw new ServiceError("notFound", `There is no running container ${containerId}.`);
    }
    this.stop(container, { isGraceful: graceful, reason: ctx.actor.kind === "container" ? "it asked to stop" : "a user stopped it" });
  }

  // ----
  get #nowMs(): number {
    return this.#options.deps.clock.monotonic();
  }

  #note(workerId: Id<"worker">, report: ContainerReport): void {
    const containerId = idFrom("container", report.containerId);
    const container = this.state.containers.get(containerId);
    if (container?.workerId !== workerId) return;
    container.isReported = true;
    const event = eventFrom(report);
    if (event !== undefined && this.state.move(containerId, event, this.#nowMs)) this.#store(container, report);
    this.state.inputsReported(
      containerId,
      report.running.map((attempt) => idFrom("input", attempt.inputId)),
      this.#nowMs,
    );
    this.#options.changed();
  }

  #store(container: ContainerRecord, report?: ContainerReport): void {
    const { containerId, state } = container;
    const phases = report?.phases.map(({ name, atMs }) => ({ name, atMs: Math.round(atMs * 1000) / 1000 }));
    const startedAtMs = report !== undefined && report.startedAtMs > 0n ? Number(report.startedAtMs) : undefined;
    const readyAtMs = state === "ready" ? this.#options.deps.clock.now() : undefined;
    void this.#changes.append({ containerId, state, startedAtMs, readyAtMs, phases });
  }

  async #reportedEnd(workerId: Id<"worker">, report: ContainerReport): Promise<void> {
    const containerId = idFrom("container", report.containerId);
    if (this.state.isHolder(workerId, containerId)) await this.end(containerId, exitFrom(report.exit));
    this.#options.links().send(workerId, { case: "forget", value: { containerIds: [containerId] } });
  }

  #reportedContainer(report: ContainerReport): ReportedContainer[] {
    const containerId = idFrom("container", report.containerId);
    const container = this.state.containers.get(containerId);
    if (container === undefined) return [];
    const { functionId } = container;
    return [{ containerId, functionId, isLive: report.exit === undefined, running: report.running.map(attemptFrom), waitingSlots: report.waitingSlots }];
  }

  async #until(isDone: () => boolean, withinMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const finish = () => {
        clearTimeout(timer);
        this.#onEnd.delete(check);
        resolve();
      };
      const check = () => {
        if (isDone()) finish();
      };
      const timer = setTimeout(finish, withinMs);
      this.#onEnd.add(check);
      check();
    });
  }
}

/** A container may stop itself and its siblings of the same app; users may stop any of their workspace. */
function isOwn(ctx: ServiceContext, container: ContainerRecord): boolean {
  return ctx.actor.kind !== "container" || ctx.actor.appId === container.appId;
}

export function stopMessage(containerId: Id<"container">, { isGraceful, reason }: { readonly isGraceful: boolean; readonly reason: string }): ControlContent {
  return { case: "desired", value: { full: false, containers: [], stops: [{ containerId, graceful: isGraceful, reason }] } };
}
