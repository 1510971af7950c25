import { isBeforeFirstInput } from "@squall/core/container-lifecycle";
import type { Id } from "@squall/core/ids";
import type { InputDemand } from "./read-view.ts";
import type { ClusterState } from "./state.ts";

/** Why the function's waiting inputs have no container yet, in sentences for people; empty when nothing waits. */
export function whyWaiting(state: ClusterState, demand: InputDemand | undefined, nowMs: number): readonly string[] {
  if (demand === undefined || demand.queuedInputs === 0) return [];
  const record = state.functions.get(demand.functionId);
  if (record === undefined) return [];
  const { spec, unplaced, failedStarts, mayStartAtMs } = record;
  const reasons: string[] = [];
  if (unplaced !== undefined) reasons.push(`${spec.tag}: ${unplaced.what.text}.`);
  if (mayStartAtMs > nowMs)
    reasons.push(`${spec.tag}: the last ${failedStarts} starts failed; the next is tried in ${Math.ceil((mayStartAtMs - nowMs) / 1000)} s.`);
  const containers = containersOf(state, demand.functionId);
  const starting = containers.filter((container) => isBeforeFirstInput(container.state) && container.stop === undefined);
  const most = spec.autoscaling.maxContainers;
  if (reasons.length === 0 && starting.length > 0)
    reasons.push(`${spec.tag}: ${starting.length === 1 ? "a container is" : `${starting.length} containers are`} starting.`);
  else if (reasons.length === 0 && most !== undefined && containers.length >= most)
    reasons.push(`${spec.tag}: all ${most} containers that it may have (max_containers) are busy.`);
  return reasons;
}

function containersOf(state: ClusterState, functionId: Id<"function">) {
  return [...state.containers.values()].filter((container) => container.functionId === functionId);
}
