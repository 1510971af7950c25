import { mkdirSync, rmSync } from "node:fs";
import type { Spawner } from "@squall/native/spawner";
import { inside, layerPath, makeMountPoint } from "./layer.ts";
import { containerFiles } from "./names.ts";
import { type ScratchPool, unmount } from "./scratch.ts";

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
  mkdirSync(files.root, { recursive: true, mode: 0o711 });
  const scratchPath = await options.scratch.take({ bytes: options.diskBytes });
  const upperPath = layerPath(scratchPath);
  for (const directory of options.directories) mkdirSync(inside(upperPath, directory), { recursive: true, mode: 0o755 });
  for (const file of options.files) makeMountPoint(upperPath, file);
  return { dir: files.dir, upperPath, scratchPath, rootPath: files.root };
}

/** Unmounts root and layer and deletes the container's folder; safe to repeat. */
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
  for (const dir of [...scratch, files.dir]) rmSync(dir, { recursive: true, force: true });
}
