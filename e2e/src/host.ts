/** What an instance has on this machine: counted before and after, so that "nothing is left behind" is a number. */
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";

export interface HostObjects {
  readonly processes: readonly string[];
  readonly mounts: readonly string[];
  readonly cgroups: readonly string[];
  readonly networkNamespaces: readonly string[];
  readonly links: readonly string[];
  readonly tables: readonly string[];
  readonly sockets: readonly string[];
}

/** Everything that carries the instance's name or whose process belongs to its home. */
export function hostObjects(instance: string, home: string): HostObjects {
  const name = `sq-${instance}`;
  return {
    processes: processesOf(instance, home),
    mounts: readFileSync("/proc/self/mounts", "utf8")
      .split("\n")
      .filter((line) => line.includes(name) || line.includes(home)),
    cgroups: cgroupsOf(name),
    networkNamespaces: lines("ip", ["netns", "list"]).filter((line) => line.startsWith(name)),
    links: lines("ip", ["-o", "link"]).filter((line) => line.includes(name)),
    tables: lines("nft", ["list", "tables"]).filter((line) => line.includes(name)),
    sockets: existsSync(`/run/squall/${instance}`) ? [`/run/squall/${instance}`] : [],
  };
}

function processesOf(instance: string, home: string): string[] {
  const found: string[] = [];
  for (const pid of readdirSync("/proc").filter((entry) => /^\d+$/.test(entry))) {
    if (Number(pid) === process.pid) continue;
    try {
      const environment = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
      const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
      const isOurs = environment.includes(`SQUALL_HOME=${home}`) || command.includes(home) || command.includes(`/${instance}/`) || inCgroup(pid, instance);
      if (isOurs) found.push(`${pid} ${command}`);
    } catch {
      // The process ended while we looked at it.
    }
  }
  return found;
}

function inCgroup(pid: string, instance: string): boolean {
  return readFileSync(`/proc/${pid}/cgroup`, "utf8").includes(`sq-${instance}`);
}

function cgroupsOf(name: string): string[] {
  const roots = [
    "/sys/fs/cgroup",
    ...readdirSync("/sys/fs/cgroup", { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => `/sys/fs/cgroup/${entry.name}`),
  ];
  return roots.map((root) => `${root}/${name}`).filter((path) => existsSync(path));
}

function lines(command: string, args: readonly string[]): string[] {
  try {
    return execFileSync(command, args, { encoding: "utf8" }).split("\n").filter(Boolean);
  } catch (error) {
    throw new Error(`cannot list with ${command} ${args.join(" ")}`, { cause: error });
  }
}

/** Pids of the processes inside containers of the instance (below its cgroup), whoever started them. */
export function containerPids(instance: string): number[] {
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .filter((pid) => {
      try {
        return inCgroup(pid, instance);
      } catch {
        return false;
      }
    })
    .map(Number);
}

/** Waits until `condition` holds, looking every 50 ms; fails with `what` after `withinMs`. Answers how long it took. */
export async function until(what: string, condition: () => boolean, withinMs: number): Promise<number> {
  const startedAt = performance.now();
  while (!condition()) {
    if (performance.now() - startedAt > withinMs) throw new Error(`${what}: not within ${withinMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return performance.now() - startedAt;
}
