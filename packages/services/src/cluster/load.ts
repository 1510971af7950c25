import { parseContainerState } from "@squall/core/container-lifecycle";
import { asId } from "@squall/core/ids";
import { parseWorkerState } from "@squall/core/worker-lifecycle";
import type { GpuStock } from "@squall/scheduler/view";
import type { ServiceDeps } from "../context.ts";
import { numberOf, optionalTextOf, type Row, textOf } from "../journal/sql.ts";
import { readFunctions, readFunctionsWithMinimum } from "./read-functions.ts";
import { ClusterState } from "./state.ts";

/**
 * The state at boot: all workers (none connected), containers that have not ended, their functions, and functions with a minimum. Leases begin now: time
 * during which nobody listened does not count against a worker.
 */
export async function loadCluster({ deps }: { deps: Pick<ServiceDeps, "db" | "clock"> }): Promise<ClusterState> {
  const state = new ClusterState();
  const nowMs = deps.clock.monotonic();
  const workers = await deps.db.engine.query("SELECT id, name, epoch, state, milli_cpu, memory_bytes, gpus FROM worker");
  for (const row of workers.rows) addWorker(state, row, nowMs);
  const containers = await deps.db.engine.query(
    `SELECT id, workspace_id, app_id, function_id, worker_id, state, milli_cpu, memory_bytes, gpu_type, gpu_count FROM container
      WHERE state <> 'exited' AND worker_id IS NOT NULL`,
  );
  for (const row of containers.rows) addContainer(state, row, nowMs);
  const functionIds = [...new Set([...state.containers.values()].map((container) => container.functionId))];
  for (const spec of await readFunctions({ deps, functionIds })) state.keepFunction(spec);
  for (const spec of await readFunctionsWithMinimum({ deps })) state.keepFunction(spec);
  return state;
}

function addWorker(state: ClusterState, row: Row, nowMs: number): void {
  const workerId = asId("worker", textOf(row, "id"));
  state.workers.set(workerId, {
    workerId,
    name: textOf(row, "name"),
    epoch: numberOf(row, "epoch"),
    state: parseWorkerState(textOf(row, "state")),
    milliCpu: numberOf(row, "milli_cpu"),
    memoryBytes: numberOf(row, "memory_bytes"),
    gpus: gpusOf(row),
    isConnected: false,
    lastHeardMs: nowMs,
  });
}

function addContainer(state: ClusterState, row: Row, nowMs: number): void {
  const gpuType = optionalTextOf(row, "gpu_type");
  const stored = parseContainerState(textOf(row, "state"));
  const container = state.addContainer({
    containerId: asId("container", textOf(row, "id")),
    workerId: asId("worker", textOf(row, "worker_id")),
    resources: {
      milliCpu: numberOf(row, "milli_cpu"),
      memoryBytes: numberOf(row, "memory_bytes"),
      gpu: gpuType === undefined ? undefined : { type: gpuType, count: numberOf(row, "gpu_count") },
    },
    gpuType,
    placedAtMs: nowMs,
    state: stored,
    spec: {
      workspaceId: asId("workspace", textOf(row, "workspace_id")),
      appId: asId("app", textOf(row, "app_id")),
      functionId: asId("function", textOf(row, "function_id")),
    },
  });
  container.isReported = stored !== "assigned";
  if (stored === "stopping") container.stop = { isGraceful: true, reason: "it was asked to stop before the control plane restarted" };
}

// Written by `registerWorker` from the same type.
function gpusOf(row: Row): readonly GpuStock[] {
  return row["gpus"] as readonly GpuStock[];
}
