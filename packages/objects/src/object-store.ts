/** Where bytes are kept by key. Every method throws `ObjectKeyError` for an illegal key. */
export interface ObjectStore {
  /**
   * Stores all of `source` under `key`, replacing what was there. Resolves when the bytes and the name are durable; readers see the old object
   * or the new one, never a part. When `source` throws, nothing changes and its error is passed on.
   */
  put(key: string, source: Uint8Array | AsyncIterable<Uint8Array>): Promise<{ readonly sizeBytes: number }>;
  /** The bytes of `range`, or all. Throws `ObjectNotFoundError` on the first read when there is none. */
  get(key: string, range?: ByteRange): AsyncIterable<Uint8Array>;
  /** All bytes at once: for objects whose size the caller knows to be small. */
  read(key: string): Promise<Uint8Array>;
  /** Undefined when there is none. */
  stat(key: string): Promise<{ readonly sizeBytes: number } | undefined>;
  /** Removes the object; none there is no fault. */
  delete(key: string): Promise<void>;
}

/** From `start` (first byte is 0) up to `end`, exclusive; without `end` to the last byte. A range past the end yields fewer bytes, or none. */
export interface ByteRange {
  readonly start: number;
  readonly end?: number;
}

export class ObjectNotFoundError extends Error {
  readonly key: string;
  constructor(key: string, options: { readonly cause?: unknown } = {}) {
    super(`no object ${key}`, options);
    this.name = "ObjectNotFoundError";
    this.key = key;
  }
}
