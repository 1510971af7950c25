/**
 * Logs on disk: one file per container, whose size is the offset that is awaited next, and one of our own lines per app. Nothing here knows what a log
 * holds. Logs outlive their containers.
 */
import { type FileHandle, mkdir, open, stat } from "node:fs/promises";
import { join } from "node:path";

/** What an append did: `offset` and `lengthBytes` are the part that was new. */
export interface Appended {
  readonly offset: number;
  readonly lengthBytes: number;
  /** Everything below is durable. */
  readonly endOffset: number;
  /** Bytes that were skipped before the new part, because whoever has the log has them no more. */
  readonly missingBytes: number;
}

export class LogFiles {
  readonly #directory: string;
  readonly #busy = new Map<string, Promise<unknown>>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  static async open(directory: string): Promise<LogFiles> {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    return new LogFiles(directory);
  }

  pathOf(name: string): string {
    return join(this.#directory, name);
  }

  /** Adds `bytes`, which stand at `offset` of the log (its end when undefined). What is there already is not written again. Durable when it resolves. */
  append(name: string, { offset, bytes }: { readonly offset: number | undefined; readonly bytes: Uint8Array }): Promise<Appended> {
    return this.#inTurn(name, () => appendTo(this.pathOf(name), offset, bytes));
  }

  /** Bytes of the log; fewer when it is shorter. */
  async read(name: string, { offset, lengthBytes }: { readonly offset: number; readonly lengthBytes: number }): Promise<Uint8Array> {
    const file = await open(this.pathOf(name), "r");
    try {
      const bytes = Buffer.alloc(lengthBytes);
      let filled = 0;
      while (filled < lengthBytes) {
        const { bytesRead } = await file.read(bytes, filled, lengthBytes - filled, offset + filled);
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
      return bytes.subarray(0, filled);
    } finally {
      await file.close();
    }
  }

  async sizeOf(name: string): Promise<number> {
    const found = await stat(this.pathOf(name)).catch(() => undefined); // none yet
    return found?.size ?? 0;
  }

  async #inTurn<Result>(name: string, act: () => Promise<Result>): Promise<Result> {
    const before = this.#busy.get(name);
    const running = (before ?? Promise.resolve()).catch(() => {}).then(act);
    this.#busy.set(name, running);
    try {
      return await running;
    } finally {
      if (this.#busy.get(name) === running) this.#busy.delete(name);
    }
  }
}

async function appendTo(path: string, offset: number | undefined, bytes: Uint8Array): Promise<Appended> {
  const file = await openForWriting(path);
  try {
    const { size } = await file.stat();
    const startsAt = offset ?? size;
    const known = Math.min(Math.max(0, size - startsAt), bytes.length);
    const part = bytes.subarray(known);
    if (part.length === 0) return { offset: size, lengthBytes: 0, endOffset: size, missingBytes: 0 };
    const at = startsAt + known;
    for (let written = 0; written < part.length; ) written += (await file.write(part, written, part.length - written, at + written)).bytesWritten;
    await file.datasync();
    return { offset: at, lengthBytes: part.length, endOffset: at + part.length, missingBytes: at - size };
  } finally {
    await file.close();
  }
}

async function openForWriting(path: string): Promise<FileHandle> {
  const append = 0o102; // O_RDWR | O_CREAT, without O_APPEND: positions are ours
  return await open(path, append, 0o600);
}
