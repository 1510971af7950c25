/** Finds a worker for a container, one after the other, so that nothing is promised twice. */
import type { Id } from "@squall/core/ids";
import type { Resources } from "@squall/core/resources";
import { FreeTree } from "./free-tree.ts";
import type { ContainerView, SchedulingPolicy, WorkerView } from "./view.ts";

export const anyGpu = "ANY";

export interface Placer {
  /** Reserves room and answers where, or says that there is none. */
  place(resources: Resources): { readonly workerId: Id<"worker">; readonly gpuType: string | undefined } | "noRoom" | "startsInProgress";
  /** What is free on one worker now; undefined for a worker that takes nothing. */
  freeOn(workerId: Id<"worker">): FreeResources | undefined;
  /** Workers that take containers, those without GPUs first. */
  readonly workers: readonly WorkerView[];
}

export interface FreeResources {
  readonly milliCpu: number;
  readonly memoryBytes: number;
  readonly gpus: ReadonlyMap<string, number>;
}

/**
 * Workers without GPUs come first, so that plain work leaves the cards' machines alone; then by id. `containers` are all that hold resources.
 * A request takes a worker only while that has starts left: many starts at once slow each other down more than a short wait does.
 */
export function createPlacer(workers: readonly WorkerView[], containers: readonly ContainerView[], policy: SchedulingPolicy): Placer {
  const open = workers.filter((worker) => worker.isOpen).sort((a, b) => gpusOf(a) - gpusOf(b) || (a.workerId < b.workerId ? -1 : 1));
  const indexes = new Map(open.map((worker, index) => [worker.workerId, index]));
  const freeGpus = open.map((worker) => stockByType(worker));
  const tree = fillTree(open, { containers, freeGpus, indexes, policy });

  const place: Placer["place"] = ({ milliCpu, memoryBytes, gpu }) => {
    const need = { milliCpu, memoryBytes, gpuType: gpu?.type, gpuCount: gpu?.count ?? 0 };
    const index = tree.find({ ...need, starts: 1 });
    const stock = freeGpus[index];
    const worker = open[index];
    if (worker === undefined || stock === undefined) return tree.find({ ...need, starts: Number.NEGATIVE_INFINITY }) === -1 ? "noRoom" : "startsInProgress";
    const gpuType = gpu === undefined ? undefined : chooseType(stock, gpu);
    tree.take(index, { milliCpu, memoryBytes, starts: 1, gpus: gpuType === undefined ? undefined : takeGpus(stock, gpuType, gpu?.count ?? 0) });
    return { workerId: worker.workerId, gpuType };
  };

  const freeOn: Placer["freeOn"] = (workerId) => {
    const index = indexes.get(workerId);
    const gpus = index === undefined ? undefined : freeGpus[index];
    if (index === undefined || gpus === undefined) return undefined;
    return { ...tree.free(index), gpus };
  };
  return { place, freeOn, workers: open };
}

function fillTree(
  open: readonly WorkerView[],
  used: { containers: readonly ContainerView[]; freeGpus: readonly Map<string, number>[]; indexes: ReadonlyMap<string, number>; policy: SchedulingPolicy },
): FreeTree {
  const free = open.map((worker) => ({ milliCpu: worker.milliCpu, memoryBytes: worker.memoryBytes, starts: startsOf(worker, used.policy) }));
  for (const container of used.containers) {
    const index = used.indexes.get(container.workerId) ?? -1;
    const left = free[index];
    const stock = used.freeGpus[index];
    if (left === undefined || stock === undefined) continue;
    left.milliCpu -= container.resources.milliCpu;
    left.memoryBytes -= container.resources.memoryBytes;
    if (container.phase === "beforeFirstInput") left.starts--;
    if (container.gpuType !== undefined) stock.set(container.gpuType, (stock.get(container.gpuType) ?? 0) - (container.resources.gpu?.count ?? 0));
  }
  const tree = new FreeTree(open.length);
  for (const [index, left] of free.entries()) tree.set(index, { ...left, gpus: withAny(used.freeGpus[index] ?? new Map()) });
  tree.build();
  return tree;
}

/** The type to use on this worker: what was asked, or for `ANY` the type with the fewest free cards that are enough. */
function chooseType(stock: ReadonlyMap<string, number>, gpu: NonNullable<Resources["gpu"]>): string {
  if (gpu.type !== anyGpu) return gpu.type;
  const fitting = [...stock].filter(([, count]) => count >= gpu.count).sort(([a, m], [b, n]) => m - n || (a < b ? -1 : 1));
  return fitting[0]?.[0] ?? gpu.type;
}

function takeGpus(stock: Map<string, number>, type: string, count: number): ReadonlyMap<string, number> {
  stock.set(type, (stock.get(type) ?? 0) - count);
  return new Map([
    [type, stock.get(type) ?? 0],
    [anyGpu, largest(stock)],
  ]);
}

function withAny(stock: ReadonlyMap<string, number>): ReadonlyMap<string, number> {
  return stock.size === 0 ? stock : new Map([...stock, [anyGpu, largest(stock)]]);
}

function largest(stock: ReadonlyMap<string, number>): number {
  return Math.max(0, ...stock.values());
}

export function stockByType(worker: WorkerView): Map<string, number> {
  const stock = new Map<string, number>();
  for (const gpu of worker.gpus) stock.set(gpu.type, (stock.get(gpu.type) ?? 0) + gpu.count);
  return stock;
}

/** The most containers that may be between start and first input on one worker. */
export function startsOf(worker: WorkerView, policy: SchedulingPolicy): number {
  return Math.max(1, Math.ceil((worker.milliCpu / 1000) * policy.startsPerCore));
}

function gpusOf(worker: WorkerView): number {
  return worker.gpus.reduce((sum, gpu) => sum + gpu.count, 0);
}
