/**
 * Waiting inputs of one function: first in first out within a call, one each in turn between calls, so that a map of a million inputs delays
 * another call by one input at most.
 */
export class Backlog<Key, Item> {
  /** Insertion order is whose turn it is. */
  readonly #queues = new Map<Key, Fifo<Item>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** `front`: it has waited before (redelivery), so it goes ahead of its call's other inputs. */
  add(key: Key, item: Item, { front = false } = {}): void {
    let queue = this.#queues.get(key);
    if (queue === undefined) {
      queue = new Fifo();
      this.#queues.set(key, queue);
    }
    if (front) queue.unshift(item);
    else queue.push(item);
    this.#size++;
  }

  take(): Item | undefined {
    for (const [key, queue] of this.#queues) {
      const item = queue.shift();
      this.#queues.delete(key);
      if (queue.size > 0) this.#queues.set(key, queue);
      if (item !== undefined) {
        this.#size--;
        return item;
      }
    }
    return undefined;
  }

  /** Removes and returns everything that waits, or all of one call. */
  takeAll(key?: Key): Item[] {
    const keys = key === undefined ? [...this.#queues.keys()] : [key];
    const items = keys.flatMap((each) => this.#queues.get(each)?.drain() ?? []);
    for (const each of keys) this.#queues.delete(each);
    this.#size -= items.length;
    return items;
  }

  /** Removes the given items of one call wherever they wait: one pass, for the rare adoption and late output. */
  remove(key: Key, items: ReadonlySet<Item>): void {
    const queue = this.#queues.get(key);
    if (queue === undefined) return;
    this.#size -= queue.remove(items);
    if (queue.size === 0) this.#queues.delete(key);
  }

  /** The first waiting item of up to `bound` calls. */
  *heads(bound: number): Generator<Item> {
    let left = bound;
    for (const queue of this.#queues.values()) {
      if (left-- <= 0) return;
      const item = queue.peek();
      if (item !== undefined) yield item;
    }
  }
}

/** A queue with cheap ends: a list read from `#head`, and a stack of items put back in front. */
class Fifo<Item> {
  #items: Item[] = [];
  #head = 0;
  #front: Item[] = [];

  get size(): number {
    return this.#front.length + this.#items.length - this.#head;
  }

  push(item: Item): void {
    this.#items.push(item);
  }

  unshift(item: Item): void {
    this.#front.push(item);
  }

  peek(): Item | undefined {
    return this.#front.at(-1) ?? this.#items[this.#head];
  }

  shift(): Item | undefined {
    if (this.#front.length > 0) return this.#front.pop();
    const item = this.#items[this.#head];
    if (item === undefined) return undefined;
    this.#head++;
    // Forget what was read once it is half of the list: constant time on average, memory in step with what waits.
    if (this.#head > 64 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  drain(): Item[] {
    const items = [...this.#front.reverse(), ...this.#items.slice(this.#head)];
    this.#front = [];
    this.#items = [];
    this.#head = 0;
    return items;
  }

  remove(items: ReadonlySet<Item>): number {
    const size = this.size;
    this.#items = this.drain().filter((item) => !items.has(item));
    return size - this.size;
  }
}
