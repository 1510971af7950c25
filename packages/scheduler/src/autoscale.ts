/** How many containers one function wants, and which of its own it can spare. */
import type { ContainerView, FunctionView } from "./view.ts";

export interface ScaleDecision {
  /** Containers that should exist. */
  readonly wanted: number;
  readonly start: number;
  /** Idle beyond the window and beyond what is wanted, longest idle first. */
  readonly stop: readonly ContainerView[];
}

/** From zero, up with the inputs, down after the idle window, to zero. Never stops a container that works. */
export function autoscale(view: FunctionView): ScaleDecision {
  const live = view.containers.filter((container) => container.phase !== "stopping");
  const wanted = wantedContainers(view);
  const start = view.mayStart ? Math.max(0, wanted - live.length) : 0;
  const idle = live.filter((container) => (container.idleForMs ?? -1) >= view.autoscaling.scaledownWindowMs);
  idle.sort(byLongestIdle);
  return { wanted, start, stop: idle.slice(0, Math.max(0, live.length - wanted)) };
}

/** ceil(inputs / concurrency), between the function's bounds. A call of itself is one more input, so recursion gets its own containers. */
export function wantedContainers({ queuedInputs, runningInputs, autoscaling }: FunctionView): number {
  const inputs = queuedInputs + runningInputs;
  const needed = Math.ceil(inputs / Math.max(1, autoscaling.targetConcurrency)) + (inputs > 0 ? autoscaling.bufferContainers : 0);
  const most = Math.max(autoscaling.maxContainers ?? Number.POSITIVE_INFINITY, 0);
  return Math.min(most, Math.max(needed, autoscaling.minContainers));
}

export function byLongestIdle(a: ContainerView, b: ContainerView): number {
  return (b.idleForMs ?? -1) - (a.idleForMs ?? -1) || (a.containerId < b.containerId ? -1 : 1);
}
