import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { initProgram } from "@squall/native/build";
import type { Spawner } from "@squall/native/spawner";
import { canLimitSwap } from "./cgroup.ts";
import { RuntimeError } from "./error.ts";
import type { FilterCache } from "./filter-cache.ts";
import { containerCgroup, containerFiles } from "./names.ts";
import type { ContainerNetwork } from "./network.ts";
import type { OciRuntime } from "./oci-runtime.ts";
import { readStarted, type StartedRecord } from "./shim-files.ts";
import { type Bind, buildOciSpec } from "./spec/build.ts";
import type { ContainerEdits } from "./spec/container-edits.ts";

/** One container to run in a mounted root. */
export interface StartRequest {
  readonly containerId: string;
  readonly uidBase: number;
  readonly network: ContainerNetwork;
  /** At most 63 characters; also in /etc/hosts. */
  readonly hostname: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly binds: readonly Bind[];
  readonly milliCpu: number;
  readonly milliCpuLimit?: number;
  readonly memoryBytes: number;
  readonly pidsLimit: number;
  readonly sharedMemoryBytes: number;
  readonly devices: readonly ContainerEdits[];
}

/** What stays the same for all containers of a process. */
export interface StartContext {
  readonly instance: string;
  readonly nativePath: string;
  readonly containersDir: string;
  /** Folder of the runtime's own state; on a tmpfs. */
  readonly stateDir: string;
  readonly oci: OciRuntime;
  readonly spawner: Spawner;
  readonly openFilesLimit: number;
  readonly logBytes: number;
  readonly filterCache: FilterCache;
}

/** What the container's root is made of: image trees, the first one on top, below the layer in `scratchPath`, with ids from `uidBase`. */
export interface RootLayers {
  readonly lowers: readonly string[];
  readonly scratchPath: string;
  readonly uidBase: number;
}

/** Writes the bundle and starts the shim; resolves once the command runs, rejects with the runtime's words when it does not. */
export async function startContainer(context: StartContext, request: StartRequest, root: RootLayers): Promise<StartedRecord> {
  const files = containerFiles(context.containersDir, request.containerId);
  const cgroup = containerCgroup(context.instance, request.containerId);
  const etcBinds = writeEtc(files.etc, request);
  const spec = buildOciSpec({
    ...request,
    rootPath: files.root,
    initPath: initProgram(context.nativePath),
    netnsPath: request.network.netnsPath,
    sysfsPath: request.network.sysfsPath,
    binds: [...etcBinds, ...request.binds],
    cgroupPath: `${cgroup}/main`,
    limitsSwap: canLimitSwap(),
    openFilesLimit: context.openFilesLimit,
  });
  // written synchronously: a handful of small files takes longer to queue than to write
  const annotations = context.filterCache.annotations();
  writeFileSync(files.config, JSON.stringify({ ...spec, annotations }), { mode: 0o600 });
  writeFileSync(files.shimConfig, shimConfig(context, request.containerId, root), { mode: 0o600 });
  try {
    const { code, ready } = await context.spawner.detach([context.nativePath, "shim", files.dir]);
    if (!ready.startsWith("started ")) throw new RuntimeError("start container", runtimeWords(ready) || `the shim ended with ${code}`);
  } finally {
    rmSync(files.config, { force: true }); // it holds the environment, secrets among it
  }
  context.filterCache.learn(request.containerId);
  const started = readStarted(files.started);
  if (!started) throw new RuntimeError("start container", "the shim left no started.json");
  return started;
}

/** runc logs `time="…" level=error msg="…"`, crun its words alone. */
function runtimeWords(ready: string): string {
  const words = ready.replace(/^failed /, "");
  const quoted = /level=error msg=("(?:[^"\\]|\\.)*")/.exec(words)?.[1];
  return quoted === undefined ? words : String(JSON.parse(quoted));
}

function writeEtc(dir: string, { hostname, network }: StartRequest): Bind[] {
  const contents = {
    hosts: `127.0.0.1 localhost\n${network.address} ${hostname}\n`,
    hostname: `${hostname}\n`,
    "resolv.conf": `nameserver ${network.hostAddress}\noptions edns0\n`,
  };
  mkdirSync(dir, { recursive: true, mode: 0o711 });
  return Object.entries(contents).map(([name, content]) => {
    const source = path.join(dir, name);
    writeFileSync(source, content, { mode: 0o644 });
    return { source, target: `/etc/${name}`, readOnly: true };
  });
}

function shimConfig(context: StartContext, containerId: string, { lowers, scratchPath, uidBase }: RootLayers): string {
  const lines: readonly (readonly [string, string | number])[] = [
    ["id", containerId],
    ["runtime", context.oci.path],
    ["runtime-root", context.stateDir],
    ["cgroup", containerCgroup(context.instance, containerId)],
    ["log-bytes", context.logBytes],
    ["scratch", scratchPath],
    ["id-base", uidBase],
    ...lowers.map((lower) => ["lower", lower] as const),
  ];
  return lines.map(([key, value]) => `${key} ${value}\n`).join("");
}
