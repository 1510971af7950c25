/**
 * Bytes too large for a row are durable in objects before the row that names them is written; whoever came after them waits, so that order of
 * arrival stays order of storing.
 */
import type { ObjectStore } from "@squall/objects/object-store";
import { maxInlineBytes, type StoredBytes } from "./batch.ts";

export class LargeBytes {
  readonly #objects: ObjectStore;
  readonly #stored = new Set<string>();
  #tail: Promise<void> | undefined;

  constructor(objects: ObjectStore) {
    this.#objects = objects;
  }

  /** Runs `work` when the large ones among `items` are stored and everything before has run; at once when there is nothing to wait for. */
  async inOrder(items: readonly { readonly key: string; readonly bytes: Uint8Array }[], work: () => void): Promise<void> {
    const large = items.filter(({ bytes }) => bytes.length > maxInlineBytes);
    if (large.length === 0 && this.#tail === undefined) {
      work();
      return;
    }
    const mine = this.#after(this.#tail, { large, work });
    const tail: Promise<void> = mine
      .catch(() => {}) // told to its own caller
      .then(() => {
        if (this.#tail === tail) this.#tail = undefined;
      });
    this.#tail = tail;
    await mine;
  }

  /** What the row says of the bytes that `inOrder` was given under this key; only within its `work`. */
  take(key: string, bytes: Uint8Array): StoredBytes {
    return this.#stored.has(key) ? { objectKey: key } : { bytes };
  }

  async #after(before: Promise<void> | undefined, { large, work }: { large: readonly { key: string; bytes: Uint8Array }[]; work: () => void }): Promise<void> {
    const puts = Promise.all(large.map(({ key, bytes }) => this.#objects.put(key, bytes)));
    puts.catch(() => {}); // awaited below; a rejection meanwhile is not unhandled
    await before;
    await puts;
    for (const { key } of large) this.#stored.add(key);
    work();
    for (const { key } of large) this.#stored.delete(key);
  }
}
