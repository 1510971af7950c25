/**
 * The container's writable layer: the user's files and the runtime's arguments, owned by id 0, which is the container's root. All of it is written before
 * the layers are mounted; nothing is ever written through the mounted root.
 */
import { chmod, chown, copyFile, lstat, mkdir, readlink, stat, writeFile } from "node:fs/promises";
import { dirname, join, normalize } from "node:path";
import type { MountFile } from "@squall/protocol/agent";
import type { FileCache } from "../file-cache.ts";
import type { RuntimePort } from "../runtime-port.ts";
import type { ContainerHook } from "./hook.ts";
import { bundleTargets } from "./image.ts";
import { argumentsPath, socketPath } from "./secrets.ts";

export interface FilesHookOptions {
  readonly runtime: Pick<RuntimePort, "prepareRoot" | "releaseRoot">;
  readonly cache: FileCache;
}

const fetchesAtOnce = 8;
const maxLinks = 16;
// These are made by the runtime or bound over: a user's file there would be lost or in the way.
const reserved = ["/proc", "/sys", "/dev", "/__modal", "/pkg"];

export function filesHook({ runtime, cache }: FilesHookOptions): ContainerHook {
  return {
    name: "files",
    async prepare({ desired, lowers, mark }) {
      const { containerId } = desired;
      const root = await runtime.prepareRoot({
        containerId,
        diskBytes: Number(desired.diskBytes),
        directories: Object.values(bundleTargets),
        files: [socketPath],
      });
      mark("upper");
      await writeFile(join(root.upperPath, argumentsPath), desired.arguments, { mode: 0o600 });
      const layer = { upperPath: root.upperPath, lowers };
      const pending = desired.files.values();
      await Promise.all(Array.from({ length: fetchesAtOnce }, () => placeFiles(pending, { layer, cache, workspaceId: desired.workspaceId })));
    },
    async release(containerId) {
      await runtime.releaseRoot(containerId);
    },
  };
}

interface Layer {
  readonly upperPath: string;
  readonly lowers: readonly string[];
}

async function placeFiles(files: Iterable<MountFile>, { layer, cache, workspaceId }: { layer: Layer; cache: FileCache; workspaceId: string }): Promise<void> {
  for (const file of files) {
    const target = checkedPath(file.path);
    if (reserved.some((folder) => target === folder || target.startsWith(`${folder}/`))) continue;
    const cached = await cache.fetch({ workspaceId, sha256: file.sha256, sizeBytes: Number(file.sizeBytes) });
    const path = join(layer.upperPath, await makeParents(dirname(target), layer), target.slice(dirname(target).length));
    await copyFile(cached, path);
    await chmod(path, file.mode & 0o777 || 0o644);
  }
}

/** An absolute path without dots, or an error. */
export function checkedPath(path: string): string {
  if (!path.startsWith("/") || path.includes("\0") || path.endsWith("/") || normalize(path) !== path)
    throw new Error(`a mounted file has a bad path: ${JSON.stringify(path)}`);
  return path;
}

/**
 * Makes a directory of the container in the upper layer, following the image's symbolic links (`/lib` is one) and taking over the mode and owner of
 * directories that the image has. Returns where it really is, relative to the root.
 */
export async function makeParents(directory: string, layer: Layer, linksLeft = maxLinks): Promise<string> {
  let real = "/";
  const parts = directory.split("/").filter((part) => part !== "");
  for (const [index, part] of parts.entries()) {
    const next = join(real, part);
    const found = await lstatFirst(next, layer.lowers);
    if (found?.isLink) {
      if (linksLeft === 0) throw new Error(`too many symbolic links on the way to ${directory}`);
      const rest = parts.slice(index + 1).join("/");
      return makeParents(join("/", found.target.startsWith("/") ? "" : real, found.target, rest), layer, linksLeft - 1);
    }
    await makeDirectory(join(layer.upperPath, next), found);
    real = next;
  }
  return real;
}

interface Found {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly isLink: boolean;
  readonly target: string;
}

/** What the topmost layer that has the path has there. */
async function lstatFirst(path: string, lowers: readonly string[]): Promise<Found | undefined> {
  for (const lower of lowers) {
    const host = join(lower, path);
    const stats = await lstat(host).catch(() => undefined);
    if (!stats) continue;
    const isLink = stats.isSymbolicLink();
    return { mode: stats.mode & 0o7777, uid: stats.uid, gid: stats.gid, isLink, target: isLink ? await readlink(host) : "" };
  }
  return undefined;
}

async function makeDirectory(host: string, like: Found | undefined): Promise<void> {
  if (await stat(host).catch(() => undefined)) return;
  await mkdir(host, { recursive: true });
  await chmod(host, like?.mode ?? 0o755);
  if (like) await chown(host, like.uid, like.gid);
}
