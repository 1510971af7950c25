/** Demand to containers: decides for the whole cluster whenever something changed, writes what it decided, and tells the workers. */

import { applyPlacements } from "@squall/services/cluster/apply-plan";
import { decidePlacements, takeUnannounced } from "@squall/services/cluster/place";
import { readFunctions, readFunctionsWithMinimum } from "@squall/services/cluster/read-functions";
import type { ClusterState } from "@squall/services/cluster/state";
import type { ServiceDeps } from "@squall/services/context";
import type { Cluster } from "../agents/cluster.ts";
import type { DispatchPort, FunctionDemand } from "../agents/ports.ts";
import type { LogRelay } from "../relay/log-relay.ts";
import type { Reconciler } from "./driver.ts";

const whileBusyMs = 1_000; // idle windows, back-offs and reasons to wait are seen this late at most
const minimumsEveryMs = 10_000;

export interface PlaceContainersOptions {
  readonly deps: Pick<ServiceDeps, "db" | "clock" | "random" | "log">;
  readonly cluster: Cluster;
  readonly dispatch: DispatchPort;
  readonly logs: Pick<LogRelay, "appendSystemLine">;
}

export function placeContainers({ deps, cluster, dispatch, logs }: PlaceContainersOptions): Reconciler {
  const { state } = cluster;
  let minimumsReadAtMs = Number.NEGATIVE_INFINITY;

  const activate = async (): Promise<number | undefined> => {
    if (deps.clock.monotonic() - minimumsReadAtMs > minimumsEveryMs) {
      minimumsReadAtMs = deps.clock.monotonic();
      for (const spec of await readFunctionsWithMinimum({ deps })) state.keepFunction(spec);
    }
    const demand = dispatch.demand();
    await learnFunctions(deps, state, demand);
    const plan = decidePlacements(state, demand, deps.clock.monotonic());
    cluster.stopSurplus(plan.stop);
    cluster.start(await applyPlacements({ deps, state, place: plan.place }));
    for (const { spec, unplaced } of takeUnannounced(state, deps.clock.monotonic())) {
      logs.appendSystemLine(spec.appId, spec.functionId, `${spec.tag} waits: ${unplaced?.what.text ?? ""}`);
    }
    forgetIdle(state, dispatch.demand());
    return state.functions.size > 0 || state.containers.size > 0 ? whileBusyMs : minimumsEveryMs;
  };
  return { name: "place-containers", activate };
}

/** Reads functions with demand that are new here; they are read again when they come back from having none, so that a changed one is seen. */
async function learnFunctions(deps: Pick<ServiceDeps, "db">, state: ClusterState, demand: readonly FunctionDemand[]): Promise<void> {
  const unknown = demand.filter(({ functionId, queuedInputs, runningInputs }) => queuedInputs + runningInputs > 0 && !state.functions.has(functionId));
  for (const spec of await readFunctions({ deps, functionIds: unknown.map(({ functionId }) => functionId) })) state.keepFunction(spec);
}

function forgetIdle(state: ClusterState, demand: readonly FunctionDemand[]): void {
  const used = new Set(demand.filter(({ queuedInputs, runningInputs }) => queuedInputs + runningInputs > 0).map(({ functionId }) => functionId));
  for (const { functionId } of state.containers.values()) used.add(functionId);
  for (const [functionId, { spec }] of state.functions) {
    const keepsMinimum = spec.autoscaling.minContainers > 0 && !state.isStopping(spec.appId);
    if (!used.has(functionId) && !keepsMinimum) state.functions.delete(functionId);
  }
}
