/**
 * In which order an app's logs came: a file of one JSON line per piece, beside the logs themselves. The position after a line is the id of its entry, so
 * ids grow, survive a restart, and say where to go on.
 */
import { type FileHandle, open } from "node:fs/promises";
import type { Id } from "@squall/core/ids";
import type { LogFiles } from "./log-files.ts";

/** A piece of a container's log, or of our own lines (no container), or the news that a container's log is complete. */
export type FeedPiece =
  | {
      readonly kind: "bytes";
      readonly containerId?: Id<"container">;
      readonly functionId?: Id<"function">;
      readonly offset: number;
      readonly lengthBytes: number;
    }
  | { readonly kind: "end"; readonly containerId: Id<"container"> };

export interface FeedEntry {
  readonly piece: FeedPiece;
  /** The feed's position after this piece. */
  readonly entryId: number;
}

export interface ContainerOfApp {
  readonly containerId: Id<"container">;
  readonly functionId: Id<"function">;
}

const readBytes = 64 * 1024;

export class AppFeed {
  readonly appId: Id<"app">;
  readonly #file: FileHandle;
  readonly #fedBytes = new Map<Id<"container">, number>();
  readonly #complete = new Set<Id<"container">>();
  #endOffset = 0;
  #appending: Promise<unknown> = Promise.resolve();
  #changed = Promise.withResolvers<void>();

  private constructor(appId: Id<"app">, file: FileHandle) {
    this.appId = appId;
    this.#file = file;
  }

  /** Opens the feed, and puts in what a crash left out: pieces that are in a container's log and not in the feed. */
  static async open({ appId, files, containers }: { appId: Id<"app">; files: LogFiles; containers: readonly ContainerOfApp[] }): Promise<AppFeed> {
    const feed = new AppFeed(appId, await open(files.pathOf(`${appId}.feed`), 0o102, 0o600));
    await feed.#load();
    for (const { containerId, functionId } of containers) {
      const offset = feed.#fedBytes.get(containerId) ?? 0;
      const lengthBytes = (await files.sizeOf(containerId)) - offset;
      if (lengthBytes > 0) await feed.append({ kind: "bytes", containerId, functionId, offset, lengthBytes });
    }
    return feed;
  }

  get endOffset(): number {
    return this.#endOffset;
  }

  /** Whether nothing more can come of this container. */
  isComplete(containerId: Id<"container">): boolean {
    return this.#complete.has(containerId);
  }

  /** Readers are told when it resolves. */
  append(piece: FeedPiece): Promise<void> {
    const appended = this.#appending.catch(() => {}).then(() => this.#append(piece));
    this.#appending = appended;
    return appended;
  }

  /** Entries after `entryId`, in order; none at the end. A position inside an entry, or past the end, is no position of ours: from the beginning then. */
  async read(entryId: number): Promise<readonly FeedEntry[]> {
    const endOffset = this.#endOffset;
    if (entryId >= endOffset) return [];
    const bytes = Buffer.alloc(Math.min(readBytes, endOffset - entryId));
    await this.#file.read(bytes, 0, bytes.length, entryId);
    return parseLines(bytes, entryId);
  }

  /** Resolves at the next append or `wake`. */
  changed(): Promise<void> {
    return this.#changed.promise;
  }

  /** Lets readers look again: something that they decide by has changed. */
  wake(): void {
    const { resolve } = this.#changed;
    this.#changed = Promise.withResolvers<void>();
    resolve();
  }

  async close(): Promise<void> {
    await this.#appending.catch(() => {});
    await this.#file.close();
  }

  async #append(piece: FeedPiece): Promise<void> {
    const line = Buffer.from(`${JSON.stringify(piece)}\n`);
    await this.#file.write(line, 0, line.length, this.#endOffset);
    this.#endOffset += line.length;
    this.#note(piece);
    this.wake();
  }

  async #load(): Promise<void> {
    const { size } = await this.#file.stat();
    this.#endOffset = size;
    let entryId = 0;
    for (let entries = await this.read(entryId); entries.length > 0; entries = await this.read(entryId)) {
      for (const entry of entries) {
        this.#note(entry.piece);
        entryId = entry.entryId;
      }
    }
    this.#endOffset = entryId;
    if (entryId < size) await this.#file.truncate(entryId); // a line that a crash cut
  }

  #note(piece: FeedPiece): void {
    if (piece.kind === "end") this.#complete.add(piece.containerId);
    else if (piece.containerId !== undefined) this.#fedBytes.set(piece.containerId, piece.offset + piece.lengthBytes);
  }
}

function parseLines(bytes: Buffer, startsAt: number): FeedEntry[] {
  const entries: FeedEntry[] = [];
  let offset = 0;
  for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, offset)) {
    const piece = parsePiece(bytes.toString("utf8", offset, end));
    offset = end + 1;
    if (piece) entries.push({ piece, entryId: startsAt + offset });
  }
  return entries;
}

// Lines were written here; one that does not parse was met in its middle, by a position that a client made up.
function parsePiece(line: string): FeedPiece | undefined {
  try {
    return JSON.parse(line) as FeedPiece;
  } catch {
    return undefined;
  }
}
