import { asId, type Id } from "@squall/core/ids";
import type { ServiceDeps } from "../context.ts";
import { numberOf, optionalNumberOf, optionalTextOf, type Row, textOf } from "../journal/sql.ts";
import type { FunctionSpec } from "./state.ts";

const columns = `SELECT f.id, f.workspace_id, w.name AS workspace_name, f.app_id, f.tag, f.milli_cpu, f.memory_bytes, f.gpu_type, f.gpu_count,
  f.min_containers, f.max_containers, f.buffer_containers, f.scaledown_window_ms, f.max_concurrent_inputs, f.target_concurrent_inputs, f.batch_max_size
  FROM function f JOIN workspace w ON w.id = f.workspace_id JOIN app a ON a.id = f.app_id`;

/** Functions by id; those of apps that are over are left out. */
export async function readFunctions({ deps, functionIds }: { deps: Pick<ServiceDeps, "db">; functionIds: readonly Id<"function">[] }): Promise<FunctionSpec[]> {
  if (functionIds.length === 0) return [];
  const { rows } = await deps.db.engine.query(`${columns} WHERE f.id = ANY($1) AND a.state NOT IN ('stopping', 'stopped')`, [functionIds]);
  return rows.map(toSpec);
}

/** Functions that keep containers without demand: published in an app that lives. */
export async function readFunctionsWithMinimum({ deps }: { deps: Pick<ServiceDeps, "db"> }): Promise<FunctionSpec[]> {
  const { rows } = await deps.db.engine.query(
    `${columns} WHERE f.min_containers > 0 AND f.state = 'created' AND a.function_ids ->> f.tag = f.id AND a.state IN ('ephemeral', 'detached', 'detachedDisconnected', 'deployed')`,
  );
  return rows.map(toSpec);
}

function toSpec(row: Row): FunctionSpec {
  const gpuType = optionalTextOf(row, "gpu_type");
  const batchMaxSize = numberOf(row, "batch_max_size");
  const concurrency = numberOf(row, "target_concurrent_inputs");
  return {
    functionId: asId("function", textOf(row, "id")),
    workspaceId: asId("workspace", textOf(row, "workspace_id")),
    workspaceName: textOf(row, "workspace_name"),
    appId: asId("app", textOf(row, "app_id")),
    tag: textOf(row, "tag"),
    resources: {
      milliCpu: numberOf(row, "milli_cpu"),
      memoryBytes: numberOf(row, "memory_bytes"),
      gpu: gpuType === undefined ? undefined : { type: gpuType, count: Math.max(1, numberOf(row, "gpu_count")) },
    },
    autoscaling: {
      minContainers: numberOf(row, "min_containers"),
      maxContainers: optionalNumberOf(row, "max_containers"),
      bufferContainers: numberOf(row, "buffer_containers"),
      scaledownWindowMs: numberOf(row, "scaledown_window_ms"),
      targetConcurrency: Math.max(1, concurrency, batchMaxSize),
    },
    maxConcurrentInputs: Math.max(1, numberOf(row, "max_concurrent_inputs"), batchMaxSize),
  };
}
