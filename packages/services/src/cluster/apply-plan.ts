import { type Id, newId } from "@squall/core/ids";
import type { Placement } from "@squall/scheduler/view";
import type { ServiceDeps } from "../context.ts";
import type { ClusterState, ContainerRecord, FunctionSpec, WorkerRecord } from "./state.ts";

interface NewContainer {
  readonly containerId: Id<"container">;
  readonly spec: FunctionSpec;
  readonly worker: WorkerRecord;
  readonly gpuType: string | undefined;
}

/**
 * Writes the placements in one statement, each only if its worker is still registered as it was when the plan was made and its app still lives, and
 * answers the containers that now exist. A refused one is simply not there: its inputs still wait, so the next plan places them again.
 */
export async function applyPlacements({
  deps,
  state,
  place,
}: {
  deps: Pick<ServiceDeps, "db" | "clock" | "random">;
  state: ClusterState;
  place: readonly Placement[];
}): Promise<readonly ContainerRecord[]> {
  const wanted = place.flatMap((placement): NewContainer[] => {
    const spec = state.functions.get(placement.functionId)?.spec;
    const worker = state.workers.get(placement.workerId);
    return spec === undefined || worker === undefined ? [] : [{ containerId: newId("container", deps), spec, worker, gpuType: placement.gpuType }];
  });
  if (wanted.length === 0) return [];
  const epochs = new Map(wanted.map(({ worker }) => [worker.workerId, worker.epoch]));
  const accepted = await insert(deps, wanted, epochs);
  const placedAtMs = deps.clock.monotonic();
  return wanted
    .filter(({ containerId }) => accepted.has(containerId))
    .map(({ containerId, spec, worker, gpuType }) =>
      state.addContainer({ containerId, spec, workerId: worker.workerId, resources: spec.resources, gpuType, placedAtMs }),
    );
}

async function insert(
  deps: Pick<ServiceDeps, "db" | "clock">,
  wanted: readonly NewContainer[],
  epochs: ReadonlyMap<Id<"worker">, number>,
): Promise<ReadonlySet<string>> {
  const column = <Value>(of: (container: NewContainer) => Value): Value[] => wanted.map(of);
  const { rows } = await deps.db.engine.query<{ id: string }>({
    name: "apply-placements",
    text: `INSERT INTO container (id, workspace_id, app_id, function_id, worker_id, state, generation, milli_cpu, memory_bytes, gpu_type, gpu_count,
        requested_at_ms, assigned_at_ms)
      SELECT n.id, a.workspace_id, a.id, n.function_id, w.id, 'assigned', 1, n.milli_cpu, n.memory_bytes, n.gpu_type, n.gpu_count, $1, $1
        FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::int[], $8::bigint[], $9::text[], $10::int[])
          AS n (id, app_id, function_id, worker_id, worker_epoch, milli_cpu, memory_bytes, gpu_type, gpu_count)
        JOIN worker w ON w.id = n.worker_id AND w.epoch = n.worker_epoch AND w.state = 'online'
        JOIN app a ON a.id = n.app_id AND a.state NOT IN ('stopping', 'stopped')
      RETURNING id`,
    values: [
      deps.clock.now(),
      column(({ containerId }) => containerId),
      column(({ spec }) => spec.appId),
      column(({ spec }) => spec.functionId),
      column(({ worker }) => worker.workerId),
      column(({ worker }) => epochs.get(worker.workerId) ?? 0),
      column(({ spec }) => spec.resources.milliCpu),
      column(({ spec }) => spec.resources.memoryBytes),
      column(({ gpuType }) => gpuType ?? null),
      column(({ spec }) => spec.resources.gpu?.count ?? 0),
    ],
  });
  return new Set(rows.map((row) => row.id));
}
