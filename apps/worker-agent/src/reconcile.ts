/**
 * The one decision of the agent about which containers should be here: what the control plane wants against what is here. Pure.
 *
 * Container ids are never used twice, so a container is started once in its life: one that is known here in any state, ended too, is not started
 * again. A stop for a container that is not known is answered (`reportLost`), because the control plane waits for its end.
 */
import type { DesiredContainer, DesiredState } from "@squall/protocol/agent";

export interface Observed {
  readonly containerId: string;
  readonly isLive: boolean;
}

export type Action =
  | { readonly kind: "start"; readonly container: DesiredContainer }
  | { readonly kind: "stop"; readonly containerId: string; readonly graceful: boolean; readonly reason: string }
  /** Ended here and not wanted any more: nobody will ask for its end. */
  | { readonly kind: "forget"; readonly containerId: string }
  | { readonly kind: "reportLost"; readonly containerId: string };

/** Stops come first (they free what starts need); otherwise in the order of the message. At most one action per container. */
export function reconcile(desired: DesiredState, observed: readonly Observed[]): Action[] {
  const here = new Map(observed.map((each) => [each.containerId, each]));
  const stopping = new Map(desired.stops.map((stop) => [stop.containerId, stop]));
  const wanted = new Set(desired.containers.map((container) => container.containerId));
  const actions: Action[] = [];

  for (const stop of stopping.values()) {
    const found = here.get(stop.containerId);
    if (!found) actions.push({ kind: "reportLost", containerId: stop.containerId });
    else if (found.isLive) actions.push({ kind: "stop", containerId: stop.containerId, graceful: stop.graceful, reason: stop.reason });
  }
  if (desired.full) {
    for (const { containerId, isLive } of observed) {
      if (wanted.has(containerId) || stopping.has(containerId)) continue;
      actions.push(isLive ? { kind: "stop", containerId, graceful: false, reason: "not wanted by the control plane" } : { kind: "forget", containerId });
    }
  }
  const starting = new Set<string>();
  for (const container of desired.containers) {
    const { containerId } = container;
    if (here.has(containerId) || stopping.has(containerId) || starting.has(containerId)) continue;
    starting.add(containerId);
    actions.push({ kind: "start", container });
  }
  return actions;
}
