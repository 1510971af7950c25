import { plan } from "@squall/scheduler/plan";
import type { PlacementPlan, Stop } from "@squall/scheduler/view";
import { type InputDemand, readClusterView } from "./read-view.ts";
import type { ClusterState, FunctionRecord } from "./state.ts";

/** The scheduler's decision for the cluster as it stands; what has no place is noted on its function. */
export function decidePlacements(state: ClusterState, demand: readonly InputDemand[], nowMs: number): PlacementPlan {
  const decided = plan(readClusterView(state, demand, nowMs));
  const unplaced = new Map(decided.unplaced.map((entry) => [entry.functionId, entry]));
  for (const record of state.functions.values()) {
    const what = unplaced.get(record.spec.functionId);
    if (what === undefined) record.unplaced = undefined;
    else record.unplaced = { sinceMs: nowMs, isAnnounced: false, ...record.unplaced, what };
  }
  return decided;
}

export type ContainerStop = Stop;

const announceAfterMs = 1_000;
const announceTransientAfterMs = 5_000; // room is made and workers come back within moments, mostly

/** Functions whose reason to wait should be told to their users now: they have waited a while without any container. Each is returned once until it is placed. */
export function takeUnannounced(state: ClusterState, nowMs: number): readonly FunctionRecord[] {
  const due: FunctionRecord[] = [];
  const served = new Set([...state.containers.values()].map((container) => container.functionId));
  for (const record of state.functions.values()) {
    const { unplaced } = record;
    if (unplaced === undefined || unplaced.isAnnounced) continue;
    if (nowMs - unplaced.sinceMs < (unplaced.what.reason === "neverFits" ? announceAfterMs : announceTransientAfterMs)) continue;
    if (unplaced.what.reason === "startsInProgress" || served.has(record.spec.functionId)) continue; // a matter of moments
    unplaced.isAnnounced = true;
    due.push(record);
  }
  return due;
}
