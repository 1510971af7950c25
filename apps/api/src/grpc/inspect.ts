import { ServiceError } from "@squall/core/errors";
import { isId } from "@squall/core/ids";
import type { Inspect } from "@squall/protocol/inspect";
import { getFunction } from "@squall/services/function/get";
import type { RunningCluster } from "../agents/start-cluster.ts";
import type { Deps } from "../deps.ts";
import { type Procedures, procedure } from "../procedure.ts";

/** Answers from what the api holds in memory, after the database has said that the function is the caller's. */
export function inspectProcedures({ dispatch, lifecycle }: Pick<Deps, "dispatch"> & { lifecycle: Pick<RunningCluster, "cluster"> }) {
  return {
    explainFunction: procedure({ resource: "function", action: "read" }, async ({ functionId }, { ctx }) => {
      if (!isId("function", functionId)) throw new ServiceError("invalidArgument", `${JSON.stringify(functionId.slice(0, 80))} is not the id of a function.`);
      await getFunction({ ctx, input: { functionId } });
      const { cluster } = lifecycle;
      const demand = dispatch.demand().find((entry) => entry.functionId === functionId);
      const containers = [...cluster.state.containers.values()].filter((container) => container.functionId === functionId);
      return {
        functionId,
        queuedInputs: demand?.queuedInputs ?? 0,
        runningInputs: demand?.runningInputs ?? 0,
        waitingBecause: [...cluster.whyWaiting(functionId)],
        containers: containers.map(({ containerId, workerId, state, running }) => ({
          containerId,
          workerName: cluster.state.workers.get(workerId)?.name ?? "",
          state,
          runningInputs: running.size,
        })),
      };
    }),
  } satisfies Procedures<typeof Inspect>;
}
