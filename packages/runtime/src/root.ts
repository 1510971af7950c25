import { chmod, mkdir, readdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import type { Spawner } from "@squall/native/spawner";
import { RuntimeError } from "./error.ts";
import { containerFiles } from "./names.ts";
import { type ScratchPool, unmount } from "./scratch.ts";
import { initTarget } from "./spec/build.ts";

/** A writable layer before it is mounted: everything the host puts into a container is written now, below `upperPath`, with ids from 0. */
export interface PreparedRoot {
  /** The container's folder, 0711. */
  readonly dir: string;
  readonly upperPath: string;
  /** The file system that holds the layer. */
  readonly scratchPath: string;
  /** Where mountRoot will attach the root. */
  readonly rootPath: string;
}

/**
 * Real folders above the image: a runtime that meets an image's symbolic link at /dev, /proc, /sys or /etc/hosts would follow it, in the worst case onto the
 * host. Modes are those of Debian.
 */
const ownDirectories: readonly (readonly [string, number])[] = [
  ["/dev", 0o755],
  ["/proc", 0o755],
  ["/sys", 0o755],
  ["/etc", 0o755],
  ["/root", 0o700],
  ["/__modal", 0o755],
  ["/__modal/.bin", 0o755],
];

const ownFiles = ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf", initTarget];

/** What prepareRoot needs. */
export interface PrepareRootOptions {
  readonly containersDir: string;
  readonly containerId: string;
  readonly scratch: ScratchPool;
  readonly diskBytes: number;
  /** Empty mount points to make, by their paths inside. */
  readonly directories: readonly string[];
  readonly files: readonly string[];
}

/** Makes the container's folder and its writable layer, limited to `diskBytes`. */
export async function prepareRoot(options: PrepareRootOptions): Promise<PreparedRoot> {
  const files = containerFiles(options.containersDir, options.containerId);
  await mkdir(files.dir, { recursive: true, mode: 0o711 });
  const scratchPath = await options.scratch.take({ bytes: options.diskBytes });
  const upperPath = path.join(scratchPath, "u");
  await mkdir(path.join(scratchPath, "w"));
  await makeDirectory(upperPath, 0o755);
  await mkdir(files.root, { recursive: true, mode: 0o711 });
  for (const [directory, mode] of ownDirectories) await makeDirectory(path.join(upperPath, directory), mode);
  for (const directory of options.directories) await mkdir(inside(upperPath, directory), { recursive: true, mode: 0o755 });
  for (const file of [...ownFiles, ...options.files]) await makeEmptyFile(inside(upperPath, file));
  return { dir: files.dir, upperPath, scratchPath, rootPath: files.root };
}

/** Joins a path that the container sees to the writable layer; refuses one that would leave it. */
export function inside(upperPath: string, target: string): string {
  const joined = path.join(upperPath, target);
  if (!target.startsWith("/") || !joined.startsWith(`${upperPath}/`)) throw new RuntimeError("prepare root", `${target} is not a path inside the container`);
  return joined;
}

async function makeDirectory(directory: string, mode: number): Promise<void> {
  await mkdir(directory, { recursive: true });
  await chmod(directory, mode); // whatever the umask
}

async function makeEmptyFile(file: string): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true, mode: 0o755 });
  await writeFile(file, "", { mode: 0o644 });
}

/** Mounts image trees (first one on top) and the writable layer at the root, with the container's ids. */
export async function mountRoot(options: {
  nativePath: string;
  spawner: Spawner;
  root: PreparedRoot;
  lowers: readonly string[];
  uidBase: number;
}): Promise<void> {
  const { nativePath, spawner, root, lowers, uidBase } = options;
  const layers = lowers.flatMap((lower) => ["--lower", lower]);
  const argv = [nativePath, "mount-root", ...layers, "--upper", root.scratchPath, "--target", root.rootPath, "--base", String(uidBase)];
  const { code, stderr } = await spawner.run(argv);
  if (code !== 0) throw new RuntimeError("mount root", stderr);
}

/** Unmounts root and layer and empties the container's folder, but for its lease; safe to repeat. */
export async function releaseRoot(options: {
  nativePath: string;
  spawner: Spawner;
  containersDir: string;
  containerId: string;
  scratchPath: string | undefined;
}): Promise<void> {
  const files = containerFiles(options.containersDir, options.containerId);
  const scratch = options.scratchPath === undefined ? [] : [options.scratchPath];
  await unmount(options, [files.root, ...scratch]);
  const entries = await readdir(files.dir).catch(() => []); // gone: released before
  const paths = entries.map((name) => path.join(files.dir, name)).filter((file) => file !== files.lease);
  for (const each of [...scratch, ...paths]) await rm(each, { recursive: true, force: true });
}
