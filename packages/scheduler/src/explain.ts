/** Why a request has no worker, in words for the person who waits. */
import { mebibyte, type Resources } from "@squall/core/resources";
import { anyGpu, stockByType } from "./place.ts";
import type { UnplacedReason, WorkerView } from "./view.ts";

export interface Explanation {
  readonly reason: UnplacedReason;
  readonly text: string;
}

/** `workers` are those that take containers. */
export function explain(resources: Resources, workers: readonly WorkerView[], outcome: "noRoom" | "startsInProgress"): Explanation {
  if (workers.length === 0) return { reason: "noWorkers", text: "no worker is connected" };
  const missing = neverFits(resources, workers);
  if (missing !== undefined) return { reason: "neverFits", text: missing };
  if (outcome === "startsInProgress") return { reason: "startsInProgress", text: "there is room; waiting for other containers to finish starting" };
  return {
    reason: "noRoom",
    text: `waiting for room: needs ${describe(resources)}, and ${workers.length === 1 ? "the worker is" : `all ${workers.length} workers are`} full`,
  };
}

/** The sentence when no worker could take it even when empty; undefined when one could. */
function neverFits(resources: Resources, workers: readonly WorkerView[]): string | undefined {
  const { gpu, milliCpu, memoryBytes } = resources;
  if (gpu !== undefined && !workers.some((worker) => gpusFit(gpu, worker))) return `needs ${gpu.count} × ${gpu.type}; ${largestGpus(gpu.type, workers)}`;
  const mostCpu = Math.max(...workers.map((worker) => worker.milliCpu));
  if (milliCpu > mostCpu) return `needs ${cores(milliCpu)}; the largest worker has ${cores(mostCpu)}`;
  const mostMemory = Math.max(...workers.map((worker) => worker.memoryBytes));
  if (memoryBytes > mostMemory) return `needs ${memory(memoryBytes)} of memory; the largest worker has ${memory(mostMemory)}`;
  const fits = (worker: WorkerView) => worker.milliCpu >= milliCpu && worker.memoryBytes >= memoryBytes && (gpu === undefined || gpusFit(gpu, worker));
  return workers.some(fits) ? undefined : `needs ${describe(resources)} on one worker; no worker has all of it`;
}

function gpusFit(gpu: NonNullable<Resources["gpu"]>, worker: WorkerView): boolean {
  const stock = stockByType(worker);
  return gpu.type === anyGpu ? [...stock.values()].some((count) => count >= gpu.count) : (stock.get(gpu.type) ?? 0) >= gpu.count;
}

/** The worker with most cards of the type, or else the most cards of any. */
function largestGpus(type: string, workers: readonly WorkerView[]): string {
  const count = (worker: WorkerView, only: string | undefined) =>
    worker.gpus.reduce((sum, gpu) => sum + (only === undefined || gpu.type === only ? gpu.count : 0), 0);
  const best = [...workers].sort(
    (a, b) => count(b, type) - count(a, type) || count(b, undefined) - count(a, undefined) || (a.workerId < b.workerId ? -1 : 1),
  )[0];
  if (best === undefined || best.gpus.every((gpu) => gpu.count === 0)) return "no worker has a GPU";
  return `the largest worker has ${best.gpus.map((gpu) => `${gpu.count} × ${gpu.type}${gpu.isFake ? " (fake)" : ""}`).join(", ")}`;
}

/** `0.125 cores, 128 MiB and 1 × A100`. */
export function describe({ milliCpu, memoryBytes, gpu }: Resources): string {
  const plain = `${cores(milliCpu)}, ${memory(memoryBytes)}`;
  return gpu === undefined ? plain : `${plain} and ${gpu.count} × ${gpu.type}`;
}

function cores(milliCpu: number): string {
  return milliCpu === 1000 ? "1 core" : `${milliCpu / 1000} cores`;
}

function memory(bytes: number): string {
  const mib = bytes / mebibyte;
  return mib >= 1024 ? `${Math.round((mib / 1024) * 10) / 10} GiB` : `${Math.round(mib)} MiB`;
}
