import { isBeforeFirstInput } from "@squall/core/container-lifecycle";
import type { InputDemand } from "./read-view.ts";
import type { ClusterState } from "./state.ts";

/** Why the function's waiting inputs have no container yet, in sentences for people; empty when nothing waits. */
export function whyWaiting(state: ClusterState, demand: InputDemand | undefined, nowMs: number): readonly string[] {
  if (demand === undefined || demand.queuedInputs === 0) return [];
  const record = state.functions.get(demand.functionId);
  if (record === undefined) return [];
  const { spec, unplaced, failedStarts, mayStartAtMs } = record;
  const containers = [...state.containers.values()].filter((container) => container.functionId === demand.functionId && container.stop === undefined);
  const starting = containers.filter((container) => isBeforeFirstInput(container.state));
  const most = spec.autoscaling.maxContainers;
  if (containers.length > starting.length) {
    // Inputs are being run: the others wait their turn, and only the user's own bound is worth a word.
    return most !== undefined && containers.length >= most ? [`${spec.tag}: all ${most} containers that it may have (max_containers) are busy.`] : [];
  }
  if (mayStartAtMs > nowMs) return [`${spec.tag}: the last ${failedStarts} starts failed; the next is tried in ${Math.ceil((mayStartAtMs - nowMs) / 1000)} s.`];
  if (starting.length > 0) return [`${spec.tag}: ${starting.length === 1 ? "a container is" : `${starting.length} containers are`} starting.`];
  return unplaced === undefined ? [] : [`${spec.tag}: ${unplaced.what.text}.`];
}
