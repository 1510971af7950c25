/**
 * What the control plane knows of workers, containers and functions, in memory: read at boot, kept by reports. Records are mutable and owned by
 * `ClusterState`; everything here is synchronous and does no I/O. Times named `…Ms` are monotonic unless they say otherwise.
 */
import { type ContainerEvent, type ContainerState, transitionContainer } from "@squall/core/container-lifecycle";
import type { Id } from "@squall/core/ids";
import type { Resources } from "@squall/core/resources";
import type { WorkerState } from "@squall/core/worker-lifecycle";
import type { AutoscalingPolicy, GpuStock, Unplaced } from "@squall/scheduler/view";

export interface WorkerRecord {
  readonly workerId: Id<"worker">;
  readonly name: string;
  epoch: number;
  state: WorkerState;
  milliCpu: number;
  memoryBytes: number;
  gpus: readonly GpuStock[];
  isConnected: boolean;
  lastHeardMs: number;
}

/** What of a function decides about its containers; its definition stays in the database. */
export interface FunctionSpec {
  readonly functionId: Id<"function">;
  readonly workspaceId: Id<"workspace">;
  readonly workspaceName: string;
  readonly appId: Id<"app">;
  readonly tag: string;
  readonly resources: Resources;
  readonly autoscaling: AutoscalingPolicy;
  /** Inputs that one container may have in hand. */
  readonly maxConcurrentInputs: number;
}

export interface FunctionRecord {
  spec: FunctionSpec;
  /** Starts in a row that ended before their container asked for inputs. */
  failedStarts: number;
  mayStartAtMs: number;
  unplaced: { readonly what: Unplaced; readonly sinceMs: number; isAnnounced: boolean } | undefined;
}

export interface ContainerRecord {
  readonly containerId: Id<"container">;
  readonly workspaceId: Id<"workspace">;
  readonly appId: Id<"app">;
  readonly functionId: Id<"function">;
  readonly workerId: Id<"worker">;
  readonly resources: Resources;
  readonly gpuType: string | undefined;
  readonly placedAtMs: number;
  /** Inputs that it has in hand. */
  readonly running: Set<Id<"input">>;
  state: ContainerState;
  idleSinceMs: number | undefined;
  /** Asked to stop; said again whenever its worker connects. */
  stop: { readonly isGraceful: boolean; readonly reason: string } | undefined;
  /** Its worker has said that it knows it. */
  isReported: boolean;
}

const failuresBeforeBackOff = 3; // dispatch gives up on waiting inputs after as many
const firstBackOffMs = 1_000;
const longestBackOffMs = 60_000;
const maxRemembered = 10_000;

export class ClusterState {
  readonly workers = new Map<Id<"worker">, WorkerRecord>();
  readonly functions = new Map<Id<"function">, FunctionRecord>();
  readonly containers = new Map<Id<"container">, ContainerRecord>();
  /** Apps that began to stop: nothing of them is started any more. The oldest are forgotten; by then their rows say so. */
  readonly #stoppingApps = new Set<Id<"app">>();
  /** Which worker held a container that has ended: what comes late from there is still from the right place. */
  readonly #endedOn = new Map<Id<"container">, Id<"worker">>();

  keepFunction(spec: FunctionSpec): FunctionRecord {
    const known = this.functions.get(spec.functionId);
    if (known !== undefined) {
      known.spec = spec;
      return known;
    }
    const record: FunctionRecord = { spec, failedStarts: 0, mayStartAtMs: 0, unplaced: undefined };
    this.functions.set(spec.functionId, record);
    return record;
  }

  addContainer(
    container: Pick<ContainerRecord, "containerId" | "workerId" | "resources" | "gpuType" | "placedAtMs"> & { spec: ContainerOwner; state?: ContainerState },
  ): ContainerRecord {
    const { workspaceId, appId, functionId } = container.spec;
    const record: ContainerRecord = {
      containerId: container.containerId,
      workerId: container.workerId,
      resources: container.resources,
      gpuType: container.gpuType,
      placedAtMs: container.placedAtMs,
      workspaceId,
      appId,
      functionId,
      running: new Set(),
      state: container.state ?? "assigned",
      idleSinceMs: undefined,
      stop: undefined,
      isReported: false,
    };
    this.containers.set(record.containerId, record);
    return record;
  }

  /** Moves a container; false when the event would take it back, or it is not known (ended, or never ours). */
  move(containerId: Id<"container">, event: ContainerEvent, nowMs: number): boolean {
    const container = this.containers.get(containerId);
    if (container === undefined) return false;
    const next = transitionContainer(container.state, event);
    if (next === "illegal") return false;
    container.state = next;
    if (event === "ready") {
      this.#resetFailures(container.functionId);
      this.#noteWork(container, nowMs);
    }
    return true;
  }

  /** Forgets a container that ended and answers what it was. */
  end(containerId: Id<"container">, nowMs: number): ContainerRecord | undefined {
    const container = this.containers.get(containerId);
    if (container === undefined) return undefined;
    this.containers.delete(containerId);
    remember(this.#endedOn, containerId, container.workerId);
    if (container.state !== "ready" && container.stop === undefined) this.#noteFailedStart(container.functionId, nowMs);
    container.state = "exited";
    return container;
  }

  /** Whether this worker may speak for the container. What nobody remembers is let through: dispatch refuses results of attempts that it does not know. */
  isHolder(workerId: Id<"worker">, containerId: Id<"container">): boolean {
    return (this.containers.get(containerId)?.workerId ?? this.#endedOn.get(containerId) ?? workerId) === workerId;
  }

  inputsGiven(containerId: Id<"container">, inputIds: readonly Id<"input">[]): void {
    const container = this.containers.get(containerId);
    if (container === undefined) return;
    for (const inputId of inputIds) container.running.add(inputId);
    container.idleSinceMs = undefined;
  }

  inputEnded(containerId: Id<"container">, inputId: Id<"input">, nowMs: number): void {
    const container = this.containers.get(containerId);
    if (container?.running.delete(inputId)) this.#noteWork(container, nowMs);
  }

  /** A container that asks with all its slots free has nothing in hand, whatever we believed. */
  inputsAsked(containerId: Id<"container">, slots: number, nowMs: number): void {
    const container = this.containers.get(containerId);
    if (container === undefined || slots === 0) return;
    const most = this.functions.get(container.functionId)?.spec.maxConcurrentInputs ?? 1;
    if (slots >= most) container.running.clear();
    this.#noteWork(container, nowMs);
  }

  /** What its worker says that it has in hand: the truth after a reconnect. */
  inputsReported(containerId: Id<"container">, inputIds: readonly Id<"input">[], nowMs: number): void {
    const container = this.containers.get(containerId);
    if (container === undefined) return;
    container.running.clear();
    for (const inputId of inputIds) container.running.add(inputId);
    if (container.state === "ready") this.#noteWork(container, nowMs);
  }

  stopApp(appId: Id<"app">): void {
    this.#stoppingApps.add(appId);
    for (const oldest of this.#stoppingApps) {
      if (this.#stoppingApps.size <= maxRemembered) break;
      this.#stoppingApps.delete(oldest);
    }
  }

  isStopping(appId: Id<"app">): boolean {
    return this.#stoppingApps.has(appId);
  }

  containersOf(workerId: Id<"worker">): ContainerRecord[] {
    return [...this.containers.values()].filter((container) => container.workerId === workerId);
  }

  #noteWork(container: ContainerRecord, nowMs: number): void {
    container.idleSinceMs = container.running.size === 0 ? (container.idleSinceMs ?? nowMs) : undefined;
  }

  #resetFailures(functionId: Id<"function">): void {
    const record = this.functions.get(functionId);
    if (record === undefined) return;
    record.failedStarts = 0;
    record.mayStartAtMs = 0;
  }

  #noteFailedStart(functionId: Id<"function">, nowMs: number): void {
    const record = this.functions.get(functionId);
    if (record === undefined) return;
    record.failedStarts++;
    const over = record.failedStarts - failuresBeforeBackOff;
    if (over >= 0) record.mayStartAtMs = nowMs + Math.min(longestBackOffMs, firstBackOffMs * 2 ** over);
  }
}

interface ContainerOwner {
  readonly workspaceId: Id<"workspace">;
  readonly appId: Id<"app">;
  readonly functionId: Id<"function">;
}

function remember<Key, Value>(map: Map<Key, Value>, key: Key, value: Value): void {
  map.set(key, value);
  if (map.size <= maxRemembered) return;
  for (const oldest of map.keys()) {
    map.delete(oldest);
    return;
  }
}
