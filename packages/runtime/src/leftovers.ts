import { existsSync, readFileSync } from "node:fs";
import { readdir, readFile, rm } from "node:fs/promises";
import path from "node:path";
import { startSpawner } from "@squall/native/spawner";
import { cgroupVersion, removeCgroup } from "./cgroup.ts";
import { RuntimeError } from "./error.ts";
import { firewallRemovalScript } from "./firewall.ts";
import { checkInstance, hostInterfaceName, instanceCgroup, linkPrefix } from "./names.ts";

/** Where an instance keeps its objects. */
export interface LeftoverOptions {
  readonly instance: string;
  readonly nativePath: string;
  readonly runDir: string;
  readonly containersDir: string;
}

/**
 * Kills and removes everything on this machine that is named by the instance: processes (by cgroup), cgroups, mounts, network namespaces, links, packet filter,
 * folders of containers. Touches nothing of other instances. Safe when there is nothing, and in a mount namespace that does not see the mounts.
 */
export async function removeInstanceLeftovers({ instance, nativePath, runDir, containersDir }: LeftoverOptions): Promise<void> {
  checkInstance(instance);
  const spawner = startSpawner({ nativePath });
  const native = async (...args: string[]) => {
    const { code, stderr } = await spawner.run([nativePath, ...args]);
    if (code !== 0) throw new RuntimeError("remove leftovers", stderr);
  };
  try {
    await native("kill-cgroup", instanceCgroup(instance));
    await removeCgroups(instance);
    await native("unmount", ...(await mountPoints([runDir, containersDir])));
    // the host's address goes last: as long as it stands no other instance takes our block of addresses
    const links = linksOf(instance).sort((a, b) => Number(a === hostInterfaceName(instance)) - Number(b === hostInterfaceName(instance)));
    for (const name of links) await native("net-drop-host", "--interface", name);
    await spawner.run(["nft", "-f", "-"], { stdin: firewallRemovalScript(instance) }); // fails only where there is no nft, and then no table
    await rm(path.join(runDir, "net"), { recursive: true, force: true });
    await rm(path.join(runDir, "oci"), { recursive: true, force: true });
    for (const name of await readdir(containersDir).catch(() => [])) {
      if (name === ".scratch" || existsSync(path.join(containersDir, name, "root"))) await rm(path.join(containersDir, name), { recursive: true, force: true });
    }
  } finally {
    await spawner.close();
  }
}

// Killed processes leave their cgroup a moment after the signal: bounded tries, no event tells.
async function removeCgroups(instance: string): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    if (removeCgroup(instanceCgroup(instance))) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new RuntimeError("remove leftovers", `processes are left in cgroup ${instanceCgroup(instance)} (version ${cgroupVersion()})`);
}

/** Mount points below the given folders, innermost first. */
async function mountPoints(below: readonly string[]): Promise<string[]> {
  const points = (await readFile("/proc/self/mounts", "utf8")).split("\n").map((line) => decodeOctal(line.split(" ")[1] ?? ""));
  return points.filter((point) => below.some((dir) => point.startsWith(`${dir}/`))).reverse();
}

/** /proc/self/mounts writes blanks and backslashes in octal. */
function decodeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/** By /proc/net/dev: unlike /sys it is always of the namespace that we are in. */
function linksOf(instance: string): string[] {
  const names = readFileSync("/proc/self/net/dev", "utf8")
    .split("\n")
    .map((line) => line.split(":")[0]?.trim() ?? "");
  return names.filter((name) => name.startsWith(linkPrefix(instance)));
}
