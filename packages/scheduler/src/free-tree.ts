/**
 * Free capacity of all workers in one array-backed tree: a node holds the most that any worker below it has free, per dimension. The leftmost
 * worker that fits is found in O(log workers) unless dimensions conflict; taking from a worker repairs one path.
 */
export class FreeTree {
  /** Nodes looked at by `find` so far: what a decision costs. */
  visits = 0;
  readonly #leaves: number;
  readonly #cpu: Float64Array;
  readonly #memory: Float64Array;
  readonly #starts: Float64Array;
  /** Per GPU type, and `ANY` for the largest single type of a worker. */
  readonly #gpus = new Map<string, Float64Array>();

  constructor(size: number) {
    let leaves = 1;
    while (leaves < size) leaves *= 2;
    this.#leaves = leaves;
    this.#cpu = new Float64Array(2 * leaves).fill(-1);
    this.#memory = new Float64Array(2 * leaves).fill(-1);
    this.#starts = new Float64Array(2 * leaves).fill(-1);
  }

  /** Fills one worker; call `build` after the last. */
  set(index: number, free: { milliCpu: number; memoryBytes: number; starts: number; gpus: ReadonlyMap<string, number> }): void {
    const leaf = this.#leaves + index;
    this.#cpu[leaf] = free.milliCpu;
    this.#memory[leaf] = free.memoryBytes;
    this.#starts[leaf] = free.starts;
    for (const [type, count] of free.gpus) this.#gpuArray(type)[leaf] = count;
  }

  build(): void {
    for (let node = this.#leaves - 1; node > 0; node--) this.#repair(node);
  }

  free(index: number): { milliCpu: number; memoryBytes: number; starts: number } {
    const leaf = this.#leaves + index;
    return { milliCpu: at(this.#cpu, leaf), memoryBytes: at(this.#memory, leaf), starts: at(this.#starts, leaf) };
  }

  /** Free cards of one type on a worker. */
  freeGpus(index: number, type: string): number {
    const counts = this.#gpus.get(type);
    return counts === undefined ? 0 : at(counts, this.#leaves + index);
  }

  /** Index of the first worker with this much free in every dimension, or -1. */
  find(need: { milliCpu: number; memoryBytes: number; starts: number; gpuType: string | undefined; gpuCount: number }): number {
    const gpu = need.gpuType === undefined ? undefined : this.#gpus.get(need.gpuType);
    if (need.gpuType !== undefined && gpu === undefined) return -1;
    const stack = [1];
    for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
      this.visits++;
      if (at(this.#cpu, node) < need.milliCpu || at(this.#memory, node) < need.memoryBytes || at(this.#starts, node) < need.starts) continue;
      if (gpu !== undefined && at(gpu, node) < need.gpuCount) continue;
      if (node >= this.#leaves) return node - this.#leaves;
      stack.push(2 * node + 1, 2 * node);
    }
    return -1;
  }

  /** Takes from (or, with negative amounts, gives back to) one worker. `gpus` are the new counts of the types that changed. */
  take(index: number, used: { milliCpu: number; memoryBytes: number; starts: number; gpus: ReadonlyMap<string, number> | undefined }): void {
    const leaf = this.#leaves + index;
    this.#cpu[leaf] = at(this.#cpu, leaf) - used.milliCpu;
    this.#memory[leaf] = at(this.#memory, leaf) - used.memoryBytes;
    this.#starts[leaf] = at(this.#starts, leaf) - used.starts;
    if (used.gpus !== undefined) for (const [type, count] of used.gpus) this.#gpuArray(type)[leaf] = count;
    for (let node = leaf >> 1; node > 0; node >>= 1) this.#repair(node, used.gpus);
  }

  #repair(node: number, changed?: ReadonlyMap<string, number>): void {
    this.#cpu[node] = larger(this.#cpu, node);
    this.#memory[node] = larger(this.#memory, node);
    this.#starts[node] = larger(this.#starts, node);
    for (const type of (changed ?? this.#gpus).keys()) {
      const counts = this.#gpuArray(type);
      counts[node] = larger(counts, node);
    }
  }

  #gpuArray(type: string): Float64Array {
    let counts = this.#gpus.get(type);
    if (counts === undefined) {
      counts = new Float64Array(2 * this.#leaves);
      this.#gpus.set(type, counts);
    }
    return counts;
  }
}

function at(array: Float64Array, index: number): number {
  return array[index] ?? -1;
}

function larger(array: Float64Array, node: number): number {
  return Math.max(at(array, 2 * node), at(array, 2 * node + 1));
}
