import { isBeforeFirstInput } from "@squall/core/container-lifecycle";
import type { Id } from "@squall/core/ids";
import type { ClusterView, ContainerView, FunctionView, WorkerView } from "@squall/scheduler/view";
import type { ClusterState, ContainerRecord, FunctionRecord, WorkerRecord } from "./state.ts";

/** Inputs of one function that wait or run, as dispatch counts them. */
export interface InputDemand {
  readonly functionId: Id<"function">;
  readonly queuedInputs: number;
  readonly runningInputs: number;
  /** Monotonic. */
  readonly oldestQueuedAtMs: number | undefined;
}

const slowStartMs = 10_000; // a model that loads for minutes does not hold back the starts of others

/** One consistent picture for the scheduler. Functions that the state does not know are left out: load them first. */
export function readClusterView(state: ClusterState, demand: readonly InputDemand[], nowMs: number): ClusterView {
  const containers = Map.groupBy(state.containers.values(), (container) => container.functionId);
  const demandOf = new Map(demand.map((entry) => [entry.functionId, entry]));
  const functions: FunctionView[] = [];
  for (const record of state.functions.values()) {
    const { functionId } = record.spec;
    functions.push(viewFunction(record, { demand: demandOf.get(functionId), containers: containers.get(functionId) ?? [], state, nowMs }));
  }
  return { workers: [...state.workers.values()].map(viewWorker), functions };
}

function viewWorker({ workerId, isConnected, state, milliCpu, memoryBytes, gpus }: WorkerRecord): WorkerView {
  return { workerId, isOpen: isConnected && state === "online", milliCpu, memoryBytes, gpus };
}

function viewFunction(
  { spec, mayStartAtMs }: FunctionRecord,
  { demand, containers, state, nowMs }: { demand: InputDemand | undefined; containers: readonly ContainerRecord[]; state: ClusterState; nowMs: number },
): FunctionView {
  const isStopping = state.isStopping(spec.appId);
  return {
    functionId: spec.functionId,
    resources: spec.resources,
    autoscaling: spec.autoscaling,
    queuedInputs: demand?.queuedInputs ?? 0,
    runningInputs: demand?.runningInputs ?? 0,
    oldestQueuedForMs: demand?.oldestQueuedAtMs === undefined ? 0 : Math.max(0, nowMs - demand.oldestQueuedAtMs),
    containers: containers.map((container) => viewContainer(container, nowMs)),
    mayStart: !isStopping && mayStartAtMs <= nowMs,
  };
}

function viewContainer(container: ContainerRecord, nowMs: number): ContainerView {
  const { containerId, workerId, resources, gpuType, state, stop, idleSinceMs, placedAtMs } = container;
  const isStarting = isBeforeFirstInput(state) && nowMs - placedAtMs < slowStartMs;
  return {
    containerId,
    workerId,
    resources,
    gpuType,
    phase: stop !== undefined || state === "stopping" ? "stopping" : isStarting ? "beforeFirstInput" : "ready",
    idleForMs: idleSinceMs === undefined ? undefined : Math.max(0, nowMs - idleSinceMs),
  };
}
