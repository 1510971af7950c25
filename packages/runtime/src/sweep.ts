import { existsSync, readdirSync, rmSync } from "node:fs";
import path from "node:path";
import type { Spawner } from "@squall/native/spawner";
import { removeCgroup } from "./cgroup.ts";
import { RuntimeError } from "./error.ts";
import type { Lease } from "./lease.ts";
import { containerCgroup, containerFiles } from "./names.ts";
import { unmount } from "./scratch.ts";

/** Ids of the containers of a folder that were started and not released: those with a lease. */
export function leasedContainers(containersDir: string): string[] {
  return readdirSync(containersDir).filter((name) => existsSync(path.join(containersDir, name, "lease.json")));
}

/** What an earlier process left half made or half released: folders without a lease, and writable layers that no lease names. */
export async function sweepUnleased(options: {
  instance: string;
  nativePath: string;
  containersDir: string;
  spawner: Spawner;
  held: ReadonlyMap<string, Lease>;
}): Promise<void> {
  const { instance, nativePath, containersDir, spawner, held } = options;
  for (const containerId of readdirSync(containersDir).filter((name) => existsSync(path.join(containersDir, name, "root")) && !held.has(name))) {
    const cgroup = containerCgroup(instance, containerId);
    const { code, stderr } = await spawner.run([nativePath, "kill-cgroup", cgroup]);
    if (code !== 0) throw new RuntimeError("sweep", stderr);
    removeCgroup(cgroup); // one that is not empty yet goes with the instance's leftovers
    const files = containerFiles(containersDir, containerId);
    await unmount({ nativePath, spawner }, [files.root]);
    rmSync(files.dir, { recursive: true, force: true });
  }
  const scratchDir = path.join(containersDir, ".scratch");
  const used = new Set([...held.values()].map((lease) => lease.scratchPath));
  const unused = (existsSync(scratchDir) ? readdirSync(scratchDir) : []).map((name) => path.join(scratchDir, name)).filter((file) => !used.has(file));
  if (unused.length > 0) await unmount({ nativePath, spawner }, unused);
  for (const file of unused) rmSync(file, { recursive: true, force: true });
}
