/** One decision for the whole cluster. */
import type { Id } from "@squall/core/ids";
import { autoscale } from "./autoscale.ts";
import { evictIdle } from "./evict.ts";
import { explain } from "./explain.ts";
import { createPlacer, type Placer } from "./place.ts";
import {
  type ClusterView,
  type ContainerView,
  defaultSchedulingPolicy,
  type FunctionView,
  type Placement,
  type PlacementPlan,
  type SchedulingPolicy,
  type Stop,
  type Unplaced,
} from "./view.ts";

const maxEvictionsPerFunction = 32;

interface Want {
  readonly view: FunctionView;
  left: number;
}

/** Pure: the same view gives the same plan, whatever the order of its arrays. What is wanted is either placed or explained. */
export function plan(view: ClusterView, policy: SchedulingPolicy = defaultSchedulingPolicy): PlacementPlan {
  const containers = view.functions.flatMap((candidate) => candidate.containers);
  const placer = createPlacer(view.workers, containers, policy);
  const wants: Want[] = [];
  const stop: Stop[] = [];
  const stopped = new Set<Id<"container">>();
  for (const candidate of view.functions) {
    const decision = autoscale(candidate);
    if (decision.start > 0) wants.push({ view: candidate, left: decision.start });
    for (const { containerId } of decision.stop) {
      stop.push({ containerId, reason: "surplus" });
      stopped.add(containerId);
    }
  }
  const { place, unplaced } = placeAll(wants, placer);
  for (const containerId of roomFor(unplaced, view.functions, { placer, stopped, policy })) stop.push({ containerId, reason: "makeRoom" });
  stop.sort((a, b) => (a.containerId < b.containerId ? -1 : 1));
  return { place, stop, unplaced };
}

/** Round by round, one container per function, the longest waiting first: a function that wants a thousand delays another by one round at most. */
function placeAll(wants: Want[], placer: Placer): { place: Placement[]; unplaced: Unplaced[] } {
  const place: Placement[] = [];
  const unplaced: Unplaced[] = [];
  let round = wants.sort((a, b) => b.view.oldestQueuedForMs - a.view.oldestQueuedForMs || (a.view.functionId < b.view.functionId ? -1 : 1));
  while (round.length > 0) {
    const next: Want[] = [];
    for (const want of round) {
      const { functionId, resources } = want.view;
      const placed = placer.place(resources);
      if (typeof placed === "string") {
        unplaced.push({ functionId, containers: want.left, ...explain(resources, placer.workers, placed) });
        continue;
      }
      place.push({ functionId, ...placed });
      want.left--;
      if (want.left > 0) next.push(want);
    }
    round = next;
  }
  unplaced.sort((a, b) => (a.functionId < b.functionId ? -1 : 1));
  return { place, unplaced };
}

/**
 * For each function that waits for room: idle containers of functions that have nothing to do, above their minimum. While idle ones are on their
 * way out already, their room is waited for first.
 */
function roomFor(
  unplaced: readonly Unplaced[],
  functions: readonly FunctionView[],
  { placer, stopped, policy }: { placer: Placer; stopped: Set<Id<"container">>; policy: SchedulingPolicy },
): Id<"container">[] {
  const waiting = unplaced.filter((entry) => entry.reason === "noRoom");
  if (waiting.length === 0 || functions.some((view) => view.containers.some(isLeaving))) return [];
  const idleByWorker = spareContainers(functions, stopped, policy);
  const byId = new Map(functions.map((view) => [view.functionId, view]));
  const chosen: Id<"container">[] = [];
  for (const entry of waiting) {
    const view = byId.get(entry.functionId);
    if (view === undefined || view.queuedInputs === 0) continue;
    for (let i = 0; i < Math.min(entry.containers, maxEvictionsPerFunction); i++) {
      const victims = evictIdle(view.resources, idleByWorker, placer);
      if (victims.length === 0) break;
      for (const victim of victims) {
        chosen.push(victim.containerId);
        idleByWorker.set(
          victim.workerId,
          (idleByWorker.get(victim.workerId) ?? []).filter((container) => container !== victim),
        );
      }
    }
  }
  return chosen;
}

/** Asked to stop with nothing in hand: gone in a moment. */
function isLeaving(container: ContainerView): boolean {
  return container.phase === "stopping" && container.idleForMs !== undefined;
}

function spareContainers(functions: readonly FunctionView[], stopped: ReadonlySet<Id<"container">>, policy: SchedulingPolicy): Map<string, ContainerView[]> {
  const byWorker = new Map<string, ContainerView[]>();
  for (const view of functions) {
    if (view.queuedInputs > 0) continue;
    const live = view.containers.filter((container) => container.phase !== "stopping" && !stopped.has(container.containerId));
    const idle = live.filter((container) => (container.idleForMs ?? -1) >= policy.evictAfterIdleMs);
    idle.sort((a, b) => (b.idleForMs ?? 0) - (a.idleForMs ?? 0) || (a.containerId < b.containerId ? -1 : 1));
    for (const container of idle.slice(0, Math.max(0, live.length - view.autoscaling.minContainers))) {
      const list = byWorker.get(container.workerId) ?? [];
      list.push(container);
      byWorker.set(container.workerId, list);
    }
  }
  return byWorker;
}
