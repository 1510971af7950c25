import { randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { checkObjectKey } from "./object-key.ts";
import { type ByteRange, ObjectNotFoundError, type ObjectStore } from "./object-store.ts";

// Starts with a dot, so that no key reaches it.
const partsFolder = ".parts";

/**
 * An `ObjectStore` in the folder `root` (made when missing, 0700). Objects are written beside the tree and renamed into it; parts that an earlier
 * process left are removed. One process at a time opens a root.
 */
export async function openLocalDirectory(root: string): Promise<ObjectStore> {
  await mkdir(join(root, partsFolder), { recursive: true, mode: 0o700 });
  for (const part of await readdir(join(root, partsFolder))) await rm(join(root, partsFolder, part));
  const pathOf = (key: string) => {
    checkObjectKey(key);
    return join(root, key);
  };
  return {
    async put(key, source) {
      const path = pathOf(key);
      const part = join(root, partsFolder, randomBytes(12).toString("hex"));
      try {
        const sizeBytes = await writeDurably(part, source);
        await makeFolders(root, dirname(path));
        await rename(part, path);
        await syncFolder(dirname(path));
        return { sizeBytes };
      } catch (error) {
        await rm(part, { force: true });
        throw error;
      }
    },
    get(key, range) {
      return readRange(key, pathOf(key), range);
    },
    async read(key) {
      return await readFile(pathOf(key)).catch((error: unknown) => notFound(key, error));
    },
    async stat(key) {
      const found = await stat(pathOf(key)).catch(absent);
      return found?.isFile() ? { sizeBytes: found.size } : undefined;
    },
    async delete(key) {
      const path = pathOf(key);
      await rm(path, { force: true });
      await syncFolder(dirname(path)).catch(absent);
    },
  };
}

async function writeDurably(path: string, source: Uint8Array | AsyncIterable<Uint8Array>): Promise<number> {
  const file = await open(path, "wx", 0o600);
  try {
    let sizeBytes = 0;
    if (source instanceof Uint8Array) sizeBytes = await writeAll(file, source);
    else for await (const chunk of source) sizeBytes += await writeAll(file, chunk);
    await file.sync();
    return sizeBytes;
  } finally {
    await file.close();
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<number> {
  for (let written = 0; written < bytes.length; ) written += (await file.write(bytes, written)).bytesWritten;
  return bytes.length;
}

/** Makes `folder` and makes its name, and those above it up to `root`, durable. */
async function makeFolders(root: string, folder: string): Promise<void> {
  const first = await mkdir(folder, { recursive: true, mode: 0o700 });
  if (first === undefined) return;
  for (let made = folder; made.length > root.length; made = dirname(made)) await syncFolder(dirname(made));
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function* readRange(key: string, path: string, range: ByteRange = { start: 0 }): AsyncIterable<Uint8Array> {
  if (range.end !== undefined && range.end <= range.start) return;
  const stream = createReadStream(path, { start: range.start, ...(range.end === undefined ? {} : { end: range.end - 1 }), highWaterMark: 256 * 1024 });
  try {
    for await (const chunk of stream) yield chunk;
  } catch (error) {
    notFound(key, error);
  }
}

function notFound(key: string, error: unknown): never {
  if (isAbsence(error)) throw new ObjectNotFoundError(key, { cause: error });
  throw error;
}

function absent(error: unknown): undefined {
  if (!isAbsence(error)) throw error;
}

function isAbsence(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR" || error.code === "EISDIR");
}
