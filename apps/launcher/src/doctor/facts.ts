import { execFileSync } from "node:child_process";
import { existsSync, globSync, mkdirSync, readFileSync, statfsSync } from "node:fs";
import { totalmem } from "node:os";
import { dirname, join } from "node:path";
import type { ProbeReport } from "@squall/native/probe";
import type { Paths } from "../paths.ts";
import type { MachineFacts } from "./machine-facts.ts";

/** Looks at this machine. Changes nothing but a trial folder in the cache, which is removed again. */
export async function readFacts({ home, cache }: Paths): Promise<MachineFacts> {
  const filesystems = read("/proc/filesystems");
  return {
    kernel: read("/proc/sys/kernel/osrelease").trim(),
    isRoot: process.getuid?.() === 0,
    filesystems: filesystems.split("\n").map((line) => line.replace("nodev", "").trim()),
    maxUserNamespaces: Number(read("/proc/sys/user/max_user_namespaces") || 0),
    seccompActions: read("/proc/sys/kernel/seccomp/actions_avail").trim().split(" ").filter(Boolean),
    hasFuse: existsSync("/dev/fuse"),
    cgroups: cgroups(),
    versions: {
      crun: firstLine("crun", ["--version"]),
      runc: firstLine("runc", ["--version"]),
      nft: firstLine("nft", ["--version"]),
      ip: firstLine("ip", ["-V"]),
      gcc: firstLine("gcc", ["--version"]),
    },
    freeDiskBytes: { home: freeBytes(home), cache: freeBytes(cache) },
    memoryBytes: totalmem(),
    hasApt: existsSync("/usr/bin/apt-get"),
    probe: await probe(cache),
  };
}

function cgroups(): MachineFacts["cgroups"] {
  const mounts = read("/proc/self/mounts").split("\n");
  const v2 = mounts.map((line) => line.split(" ")).find(([, , type]) => type === "cgroup2")?.[1];
  const controllers = new Set(v2 ? read(join(v2, "cgroup.controllers")).trim().split(" ").filter(Boolean) : []);
  const v1 = read("/proc/cgroups")
    .split("\n")
    .slice(1)
    .map((line) => line.split("\t"));
  const isHybrid = mounts.some((line) => / cgroup /.test(line));
  if (isHybrid) for (const [name, hierarchy, , enabled] of v1) if (name && hierarchy !== "0" && enabled === "1") controllers.add(name);
  return { kind: isHybrid ? (v2 ? "hybrid" : "v1") : v2 ? "v2" : "none", controllers: [...controllers].sort() };
}

/** The native program's own trials, when it is there or can be built. */
async function probe(cache: string): Promise<ProbeReport | undefined> {
  const program = globSync(join(cache, "native/*/squall-native"))[0] ?? (await build(cache));
  if (!program) return undefined;
  try {
    mkdirSync(cache, { recursive: true });
    const { probeMachine } = await import("@squall/native/probe");
    return await probeMachine({ nativePath: program, dir: cache });
  } catch {
    return undefined; // a line of its own says that the trials could not be run
  }
}

async function build(cacheDir: string): Promise<string | undefined> {
  try {
    const { buildNative } = await import("@squall/native/build");
    return await buildNative({ cacheDir });
  } catch {
    return undefined; // packages not installed yet, or no compiler: both have their own line
  }
}

function freeBytes(folder: string): number {
  const existing = existsSync(folder) ? folder : dirname(folder);
  if (existing !== folder && !existsSync(existing)) return freeBytes(existing);
  const { bavail, bsize } = statfsSync(existing);
  return bavail * bsize;
}

function firstLine(command: string, args: readonly string[]): string | undefined {
  try {
    return execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).split("\n")[0];
  } catch {
    return undefined;
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
