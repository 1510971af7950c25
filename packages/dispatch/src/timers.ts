/** Things that become due: a binary heap by time, ties in order of insertion, so that equal runs stay equal. */
export class Timers<T> {
  readonly #heap: { readonly atMs: number; readonly order: number; readonly item: T }[] = [];
  #order = 0;

  get nextMs(): number | undefined {
    return this.#heap[0]?.atMs;
  }

  add(atMs: number, item: T): void {
    const heap = this.#heap;
    const entry = { atMs, order: this.#order++, item };
    let i = heap.length;
    heap.push(entry);
    while (i > 0) {
      const parentIndex = (i - 1) >> 1;
      const parent = heap[parentIndex];
      if (parent === undefined || before(parent, entry)) break;
      heap[i] = parent;
      i = parentIndex;
    }
    heap[i] = entry;
  }

  /** The earliest item that is due at `nowMs`, removed; undefined when none is. */
  takeDue(nowMs: number): T | undefined {
    const top = this.#heap[0];
    if (top === undefined || top.atMs > nowMs) return undefined;
    const last = this.#heap.pop();
    if (last !== undefined && this.#heap.length > 0) this.#sink(last);
    return top.item;
  }

  #sink(entry: { readonly atMs: number; readonly order: number; readonly item: T }): void {
    const heap = this.#heap;
    let i = 0;
    for (;;) {
      let childIndex = 2 * i + 1;
      let child = heap[childIndex];
      if (child === undefined) break;
      const right = heap[childIndex + 1];
      if (right !== undefined && before(right, child)) {
        child = right;
        childIndex++;
      }
      if (before(entry, child)) break;
      heap[i] = child;
      i = childIndex;
    }
    heap[i] = entry;
  }
}

function before(a: { atMs: number; order: number }, b: { atMs: number; order: number }): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
