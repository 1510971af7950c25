import { existsSync, readdirSync, readFileSync, rmdirSync, rmSync } from "node:fs";
import path from "node:path";

const mountPoint = "/sys/fs/cgroup";

/** Whether this mount namespace has the unified hierarchy (version 2) or one per controller (version 1). */
export function cgroupVersion(): 1 | 2 {
  return existsSync(path.join(mountPoint, "cgroup.controllers")) ? 2 : 1;
}

/** Whether a container's swap can be limited on this machine. */
export function canLimitSwap(): boolean {
  if (cgroupVersion() === 1) return existsSync(path.join(mountPoint, "memory/memory.memsw.limit_in_bytes"));
  return /^SwapTotal:/m.test(readFileSync("/proc/meminfo", "utf8"));
}

/** What a container has used so far. `memoryBytes` leaves out file pages: they may be shared with others and can be given back. */
export interface Usage {
  readonly cpuNs: number;
  readonly memoryBytes: number;
  readonly peakMemoryBytes: number;
  readonly pids: number;
}

/** Reads the counters of a container's parent cgroup, which stands until we remove it; undefined when there is none. Costs about 0.3 ms. */
export function readUsage(cgroup: string): Usage | undefined {
  return cgroupVersion() === 2 ? readUsageV2(path.join(mountPoint, cgroup)) : readUsageV1(cgroup);
}

function readUsageV1(cgroup: string): Usage | undefined {
  const read = (controller: string, file: string) => readIfThere(path.join(mountPoint, controller, cgroup, file));
  const cpu = read("cpuacct", "cpuacct.usage");
  if (cpu === undefined) return undefined;
  return {
    cpuNs: Number(cpu),
    memoryBytes: field(read("memory", "memory.stat"), "total_rss"),
    peakMemoryBytes: Number(read("memory", "memory.max_usage_in_bytes") ?? 0),
    pids: Number(read("pids", "pids.current") ?? 0),
  };
}

function readUsageV2(dir: string): Usage | undefined {
  const cpu = readIfThere(path.join(dir, "cpu.stat"));
  if (cpu === undefined) return undefined;
  const memory = readIfThere(path.join(dir, "memory.stat"));
  return {
    cpuNs: field(cpu, "usage_usec") * 1000,
    memoryBytes: field(memory, "anon") + field(memory, "shmem"),
    peakMemoryBytes: Number(readIfThere(path.join(dir, "memory.peak")) ?? 0),
    pids: Number(readIfThere(path.join(dir, "pids.current")) ?? 0),
  };
}

/** Removes a cgroup of ours with everything below it, in every hierarchy. Returns whether nothing is left: a cgroup with processes in it stays. */
export function removeCgroup(cgroup: string): boolean {
  if (!/^\/sq-[a-z]{6}(\/|$)/.test(cgroup) || cgroup.includes("..")) throw new Error(`refusing to remove cgroup ${cgroup}`);
  const roots = cgroupVersion() === 2 ? [mountPoint] : readdirSync(mountPoint).map((controller) => path.join(mountPoint, controller));
  return roots.map((root) => removeBelow(root, cgroup)).every(Boolean);
}

function removeBelow(root: string, cgroup: string): boolean {
  const dir = path.join(root, cgroup);
  if (existsSync(path.join(root, "cgroup.procs"))) return removeTree(dir);
  rmSync(dir, { recursive: true, force: true }); // the empty file system with which the cage covers a hybrid host's unified hierarchy
  return true;
}

function removeTree(dir: string): boolean {
  if (!existsSync(dir)) return true;
  for (const entry of readdirSync(dir, { withFileTypes: true })) if (entry.isDirectory()) removeTree(path.join(dir, entry.name));
  try {
    rmdirSync(dir);
    return true;
  } catch (error) {
    if (isErrno(error, "ENOENT")) return true;
    if (isErrno(error, "EBUSY")) return false;
    throw error;
  }
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if (isErrno(error, "ENOENT") || isErrno(error, "ENODEV")) return undefined;
    throw error;
  }
}

function field(text: string | undefined, key: string): number {
  return Number(text?.match(new RegExp(`^${key} (\\d+)$`, "m"))?.[1] ?? 0);
}

function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
