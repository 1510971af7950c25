/** Idle containers make room for work that waits: keeping a warm container is a courtesy, running an input is the job. */
import type { Resources } from "@squall/core/resources";
import { byLongestIdle } from "./autoscale.ts";
import { anyGpu, type Placer } from "./place.ts";
import type { ContainerView, WorkerView } from "./view.ts";

/**
 * The fewest idle containers of one worker (longest idle first) whose end would let `resources` fit there; empty when no worker's idle ones are
 * enough. Chosen ones must not be offered again in the same plan.
 */
export function evictIdle(resources: Resources, idleByWorker: ReadonlyMap<string, readonly ContainerView[]>, placer: Placer): readonly ContainerView[] {
  let best: readonly ContainerView[] = [];
  for (const worker of placer.workers) {
    const victims = victimsOn(worker, idleByWorker.get(worker.workerId) ?? [], { resources, placer });
    if (victims.length > 0 && (best.length === 0 || victims.length < best.length)) best = victims;
  }
  return best;
}

function victimsOn(
  worker: WorkerView,
  idle: readonly ContainerView[],
  { resources, placer }: { resources: Resources; placer: Placer },
): readonly ContainerView[] {
  const free = placer.freeOn(worker.workerId);
  if (free === undefined || idle.length === 0) return [];
  const left = { milliCpu: free.milliCpu, memoryBytes: free.memoryBytes, gpus: new Map(free.gpus) };
  const victims: ContainerView[] = [];
  for (const container of [...idle].sort(byLongestIdle)) {
    victims.push(container);
    left.milliCpu += container.resources.milliCpu;
    left.memoryBytes += container.resources.memoryBytes;
    if (container.gpuType !== undefined) left.gpus.set(container.gpuType, (left.gpus.get(container.gpuType) ?? 0) + (container.resources.gpu?.count ?? 0));
    if (fits(resources, left)) return victims;
  }
  return [];
}

function fits({ milliCpu, memoryBytes, gpu }: Resources, left: { milliCpu: number; memoryBytes: number; gpus: ReadonlyMap<string, number> }): boolean {
  if (left.milliCpu < milliCpu || left.memoryBytes < memoryBytes) return false;
  if (gpu === undefined) return true;
  return gpu.type === anyGpu ? [...left.gpus.values()].some((count) => count >= gpu.count) : (left.gpus.get(gpu.type) ?? 0) >= gpu.count;
}
