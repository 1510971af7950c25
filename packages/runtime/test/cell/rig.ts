import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import path from "node:path";
import { removeInstanceLeftovers } from "../../src/leftovers.ts";
import { type ContainerEnd, openRuntime, type Runtime } from "../../src/runtime.ts";
import type { Bind } from "../../src/spec/build.ts";

const home = required("CELL_HOME");
const nativePath = required("CELL_NATIVE");

/** Where the instance under test lies; the instance names of cells begin with `cell`. */
export const place = { instance: "cellaa", nativePath, runDir: path.join(home, "run"), containersDir: path.join(home, "agent") };

export const runtimeName = required("CELL_RUNTIME") === "runc" ? "runc" : "crun";

/** Opens the runtime as an agent would. */
export async function openCellRuntime(options: { logBytes?: number } = {}): Promise<Runtime> {
  mkdirSync(home, { recursive: true, mode: 0o711 });
  return openRuntime({
    ...place,
    ...options,
    blobPort: 4790,
    runtimeName,
    networkPoolSize: 2,
    scratchPoolSize: 2,
    onError: (error) => {
      throw error;
    },
  });
}

/** Ends the runtime and removes the instance. */
export async function closeCellRuntime(runtime: Runtime): Promise<void> {
  await runtime.close();
  await removeInstanceLeftovers(place);
}

/** A root with busybox and our probe program. */
export function imageTree(): string {
  const tree = path.join(home, "tree");
  if (existsSync(tree)) return tree;
  for (const dir of ["bin", "etc", "tmp", "root", "proc", "sys", "dev"]) mkdirSync(path.join(tree, dir), { recursive: true });
  cpSync("/bin/busybox", path.join(tree, "bin/busybox"));
  for (const name of execFileSync("/bin/busybox", ["--list"], { encoding: "utf8" }).trim().split("\n")) {
    if (name !== "busybox") symlinkSync("busybox", path.join(tree, "bin", name));
  }
  execFileSync("gcc", ["-O2", "-static", "-Wall", "-Wextra", "-o", path.join(tree, "bin/probe"), path.join(import.meta.dirname, "probe.c")]);
  return tree;
}

export interface Job {
  readonly containerId: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly lowers?: readonly string[];
  readonly binds?: readonly Bind[];
  readonly memoryBytes?: number;
  readonly pidsLimit?: number;
  readonly diskBytes?: number;
  readonly blockNetwork?: boolean;
}

/** Prepares and starts a container; returns where it lives. */
export async function start(runtime: Runtime, job: Job): Promise<{ pid: number; address: string; uidBase: number; dir: string }> {
  const { containerId } = job;
  const { uidBase } = runtime.claimIdentity(containerId);
  const network = await runtime.takeNetwork(containerId, { blockNetwork: job.blockNetwork ?? false });
  const root = await runtime.prepareRoot({ containerId, diskBytes: job.diskBytes ?? 0, files: (job.binds ?? []).map((bind) => bind.target) });
  await runtime.mountRoot({ containerId, lowers: job.lowers ?? [imageTree()], uidBase });
  const { pid } = await runtime.startContainer({
    containerId,
    uidBase,
    network,
    hostname: "box",
    args: job.args,
    env: { PATH: "/bin", HOME: "/root", ...job.env },
    cwd: "/root",
    binds: job.binds ?? [],
    milliCpu: 1000,
    memoryBytes: job.memoryBytes ?? 256 * 2 ** 20,
    pidsLimit: job.pidsLimit ?? 128,
    sharedMemoryBytes: 16 * 2 ** 20,
    devices: [],
  });
  return { pid, address: network.address, uidBase, dir: root.dir };
}

/** Gives back everything of a container. */
export async function release(runtime: Runtime, containerId: string): Promise<void> {
  await runtime.releaseRoot(containerId);
  await runtime.releaseNetwork(containerId);
  runtime.releaseIdentity(containerId);
}

/** What it wrote, by stream (1 stdout, 2 stderr, 0 marks). */
export function output(runtime: Runtime, containerId: string, offset = 0): { stdout: string; stderr: string; dropped: number; endOffset: number } {
  const result = { stdout: "", stderr: "", dropped: 0, endOffset: offset };
  for (let chunks = runtime.readLogs(containerId, { offset, maxBytes: 1 << 20 }); chunks.length > 0; ) {
    for (const chunk of chunks) {
      for (let at = 0; at < chunk.frames.length; ) {
        const length = chunk.frames.readUInt32LE(at + 9);
        const data = chunk.frames.subarray(at + 13, at + 13 + length);
        const stream = chunk.frames.readUInt8(at + 8);
        if (stream === 0) result.dropped += Number(data.readBigUInt64LE());
        else if (stream === 1) result.stdout += data.toString();
        else result.stderr += data.toString();
        at += 13 + length;
      }
      result.endOffset = chunk.offset + chunk.frames.length;
    }
    chunks = runtime.readLogs(containerId, { offset: result.endOffset, maxBytes: 1 << 20 });
  }
  return result;
}

/** Runs a container to its end and releases it. */
export async function runToEnd(runtime: Runtime, job: Job): Promise<{ end: ContainerEnd; stdout: string; stderr: string; uidBase: number }> {
  try {
    const { uidBase } = await start(runtime, job);
    const end = await runtime.waitExit(job.containerId);
    return { end, uidBase, ...output(runtime, job.containerId) };
  } finally {
    await release(runtime, job.containerId);
  }
}

/** A shell script as a container's command. */
export function shell(script: string): string[] {
  return ["/bin/sh", "-c", script];
}

/** Resolves when the container's stdout holds the text. */
export async function waitForOutput(runtime: Runtime, containerId: string, text: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const look = () => {
      if (!output(runtime, containerId).stdout.includes(text)) return;
      clearTimeout(timer);
      stop();
      resolve();
    };
    const timer = setTimeout(() => {
      stop();
      reject(new Error(`no ${JSON.stringify(text)} in ${JSON.stringify(output(runtime, containerId))}`));
    }, 10_000);
    const stop = runtime.onLog(containerId, look);
    look();
  });
}

/** Resolves when the claim holds; fails after 10 s. */
export async function waitUntil(isSo: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!isSo()) {
    if (performance.now() > deadline) throw new Error(`not within 10 s: ${isSo}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Objects of the instance on this machine: what must be gone in the end. */
export function tracesOfInstance(): { mounts: string[]; links: string[]; cgroups: string[]; processes: number } {
  const name = `sq-${place.instance}`;
  const mounts = readFileSync("/proc/self/mounts", "utf8")
    .split("\n")
    .filter((line) => line.includes(home));
  const links = readFileSync("/proc/self/net/dev", "utf8")
    .split("\n")
    .filter((line) => line.includes(name));
  const cgroups = readdirSync("/sys/fs/cgroup").filter((controller) => existsSync(path.join("/sys/fs/cgroup", controller, name)));
  const processes = readdirSync("/proc").filter((pid) => /^\d+$/.test(pid)).length;
  return { mounts, links, cgroups, processes };
}

function required(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is missing: these tests run through ../containers.test.ts`);
  return value;
}
