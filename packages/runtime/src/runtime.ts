import { readFileSync, rmSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { type Spawner, startSpawner } from "@squall/native/spawner";
import { blockOfAddress } from "./addresses.ts";
import { readUsage, removeCgroup, type Usage } from "./cgroup.ts";
import { RuntimeError } from "./error.ts";
import { FilterCache } from "./filter-cache.ts";
import { type Identities, type Identity, openIdentities } from "./identities.ts";
import { type Lease, readLease, writeLease } from "./lease.ts";
import { dropLogs, type LogChunk, readLogs } from "./logs.ts";
import { checkInstance, containerCgroup, containerFiles } from "./names.ts";
import { type ContainerNetwork, NetworkPool } from "./network.ts";
import { type OciRuntime, openOciRuntime } from "./oci-runtime.ts";
import { type PreparedRoot, prepareRoot, releaseRoot } from "./root.ts";
import { defaultScratchBytes, ScratchPool } from "./scratch.ts";
import { readExit, readStarted } from "./shim-files.ts";
import { type ContainerEnd, ShimWatch } from "./shim-watch.ts";
import { type RootLayers, type StartContext, type StartRequest, startContainer } from "./start.ts";
import { leasedContainers, sweepUnleased } from "./sweep.ts";

export type { ContainerEnd, LogChunk, StartRequest, Usage };

/** How an agent opens the runtime; see README.md. */
export interface RuntimeOptions {
  readonly instance: string;
  readonly nativePath: string;
  /** SQUALL_RUN: state that need not survive a reboot. */
  readonly runDir: string;
  /** SQUALL_HOME/agent: one folder per container. Its parents must be open to others (0711): container ids walk through them. */
  readonly containersDir: string;
  readonly blobPort: number;
  readonly runtimeName?: OciRuntime["name"];
  /** Ready network namespaces; default 16. */
  readonly networkPoolSize?: number;
  /** Ready writable layers; default 4. */
  readonly scratchPoolSize?: number;
  /** Log bytes a container may leave unacknowledged before its output is dropped (and marked); default 64 MiB. */
  readonly logBytes?: number;
  /** Failures in the background: a pool that cannot be filled, a release that is tried again. */
  readonly onError: (error: unknown) => void;
}

/** How long after a nudge the kernel lets processes change cgroups at once, at least: an RCU grace period. */
const nudgeLastsMs = 8;

const signals = { SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGKILL: 9, SIGUSR1: 10, SIGUSR2: 12, SIGTERM: 15 } as const;

/** Opens pools and finds what containers of an earlier process hold. Must run in the agent's cage, as root, once per instance. */
export async function openRuntime(options: RuntimeOptions): Promise<Runtime> {
  checkInstance(options.instance);
  await mkdir(options.containersDir, { recursive: true, mode: 0o711 });
  const { nativePath, containersDir, onError } = options;
  const spawner = startSpawner({ nativePath });
  const stateDir = await openStateDir({ runDir: options.runDir, nativePath, spawner });
  const oci = await openOciRuntime({ name: options.runtimeName ?? "crun", nativePath, spawner });
  const held = new Map(leasedContainers(containersDir).map((id) => [id, readLease(containersDir, id)]));
  await sweepUnleased({ instance: options.instance, nativePath, containersDir, spawner, held });
  const networks = [...held.values()].flatMap((lease) => lease.network ?? []);
  const network = await NetworkPool.open({
    ...{ instance: options.instance, nativePath, runDir: options.runDir, blobPort: options.blobPort, spawner, onError },
    poolSize: options.networkPoolSize ?? 16,
    preferredBlock: networks[0] && blockOfAddress(networks[0].address),
    inUse: networks,
  });
  const taken = [...held.values()].flatMap((lease) => lease.identity ?? []);
  const identities = await openIdentities({ taken });
  const scratch = new ScratchPool({ nativePath, containersDir, spawner, poolSize: options.scratchPoolSize ?? 4, onError });
  const start = { instance: options.instance, nativePath, containersDir, stateDir, oci, spawner };
  return new Runtime(
    { ...start, openFilesLimit: openFilesLimit(), logBytes: options.logBytes ?? 64 * 2 ** 20, filterCache: new FilterCache({ stateDir, oci }) },
    { network, identities, scratch, held },
  );
}

interface Parts {
  readonly network: NetworkPool;
  readonly identities: Identities;
  readonly scratch: ScratchPool;
  readonly held: Map<string, Lease>;
}

/** The joined door to containers of one instance. Every release is safe to repeat. */
export class Runtime {
  readonly #context: StartContext;
  readonly #parts: Parts;
  readonly #watches = new Map<string, ShimWatch>();
  readonly #roots = new Map<string, RootLayers>();
  #nudgedAt = Number.NEGATIVE_INFINITY;

  constructor(context: StartContext, parts: Parts) {
    this.#context = context;
    this.#parts = parts;
  }

  /** IPv4 literal of the host's end of every container link. */
  get hostAddress(): string {
    return this.#parts.network.hostAddress;
  }

  /** Name and version of the OCI runtime. */
  get description(): string {
    return this.#context.oci.description;
  }

  /** Programs for hooks of the caller; shares the bound of this runtime. */
  get spawner(): Spawner {
    return this.#context.spawner;
  }

  /** Resolves when the pools are full; for tests and benches. */
  async poolsFilled(): Promise<void> {
    await Promise.all([this.#parts.network.filled(), this.#parts.scratch.filled()]);
  }

  /** 65,536 host ids for the container. */
  claimIdentity(containerId: string): Identity {
    const held = this.#lease(containerId).identity;
    if (held) return held;
    const identity = this.#parts.identities.take();
    this.#hold(containerId, { identity });
    return identity;
  }

  releaseIdentity(containerId: string): void {
    const { identity, ...rest } = this.#lease(containerId);
    if (identity) this.#parts.identities.give(identity);
    this.#keep(containerId, rest);
  }

  /** A network namespace for the container; the one it has when it has one. */
  async takeNetwork(containerId: string, { blockNetwork }: { blockNetwork: boolean }): Promise<ContainerNetwork> {
    const held = this.#lease(containerId).network;
    if (held) return held;
    const network = await this.#parts.network.take({ blockNetwork });
    this.#hold(containerId, { network });
    return network;
  }

  async releaseNetwork(containerId: string): Promise<void> {
    const { network, ...rest } = this.#lease(containerId);
    if (network) await this.#parts.network.release(network);
    this.#keep(containerId, rest);
  }

  /** The container's folder and its writable layer; all host writes go below `upperPath` before mountRoot. */
  async prepareRoot(request: { containerId: string; diskBytes?: number; directories?: readonly string[]; files?: readonly string[] }): Promise<PreparedRoot> {
    const { containerId, diskBytes, directories = [], files = [] } = request;
    this.#nudgeCgroups();
    const bytes = diskBytes || defaultScratchBytes; // 0: nothing asked for
    const { containersDir } = this.#context;
    const root = await prepareRoot({ containersDir, containerId, scratch: this.#parts.scratch, diskBytes: bytes, directories, files });
    this.#hold(containerId, { scratchPath: root.scratchPath });
    return root;
  }

  /**
   * Says which image trees (the first one on top) lie below the writable layer, seen with the container's ids. The mount itself happens with the start, in the
   * shim: a program less to wait for. No host write below `upperPath` any more from here on.
   */
  async mountRoot({ containerId, lowers, uidBase }: { containerId: string; lowers: readonly string[]; uidBase: number }): Promise<void> {
    this.#nudgeCgroups();
    const { scratchPath } = this.#lease(containerId);
    if (scratchPath === undefined) throw new RuntimeError("mount root", `${containerId} has no prepared root`);
    this.#roots.set(containerId, { lowers, scratchPath, uidBase });
  }

  /** After the end: waits for the shim, then removes cgroups, mounts and the folder. Kills the container when it still runs. */
  async releaseRoot(containerId: string): Promise<void> {
    const watch = this.#watches.get(containerId);
    if (watch) {
      if (!readExit(this.#files(containerId).exit)) await this.kill(containerId);
      await watch.shimGone;
      watch.close();
      this.#watches.delete(containerId);
    }
    this.#roots.delete(containerId);
    rmSync(this.#files(containerId).lease, { force: true }); // from here on, a process that takes over sweeps it up
    const { scratchPath, ...rest } = this.#lease(containerId);
    const cgroup = containerCgroup(this.#context.instance, containerId);
    if (!removeCgroup(cgroup)) {
      await this.#killCgroup(cgroup);
      if (!removeCgroup(cgroup)) throw new RuntimeError("release root", `processes are left in ${cgroup}`);
    }
    await releaseRoot({ ...this.#context, containerId, scratchPath });
    this.#keep(containerId, rest);
  }

  /** Starts the command; resolves when it runs. The environment is on disk only until then. */
  async startContainer(request: StartRequest): Promise<{ pid: number; startedAtMs: number }> {
    writeLease(this.#context.containersDir, request.containerId, this.#lease(request.containerId));
    const root = this.#roots.get(request.containerId);
    if (!root) throw new RuntimeError("start container", `${request.containerId} has no root`);
    this.#roots.delete(request.containerId);
    const started = await startContainer(this.#context, request, root);
    this.#watches.set(request.containerId, new ShimWatch(this.#context.containersDir, request.containerId));
    return { pid: started.pid, startedAtMs: started.startedAtMs };
  }

  /** Takes up a container of an earlier process. "lost": its shim is gone without an exit record, and whatever may be left of it must be released. */
  async adopt(containerId: string): Promise<"running" | "exited" | "lost"> {
    const { exit, started } = this.#files(containerId);
    const network = this.#lease(containerId).network;
    if (readExit(exit)?.kind === "exited") {
      this.#watch(containerId);
      return "exited";
    }
    if (!readStarted(started) || (network && network.hostAddress !== this.hostAddress)) return "lost";
    if (this.#watch(containerId).wasAlive) return "running";
    return readExit(exit)?.kind === "exited" ? "exited" : "lost";
  }

  /** Ids of the containers that were started and not released, also by an earlier process. */
  async listContainers(): Promise<string[]> {
    return leasedContainers(this.#context.containersDir);
  }

  /** Settles when the container has ended; never rejects for a container that was started or adopted. */
  waitExit(containerId: string): Promise<ContainerEnd> {
    return this.#watch(containerId).end;
  }

  /** Calls back after log bytes were appended and once at the end; returns the way to stop. */
  onLog(containerId: string, listener: () => void): () => void {
    return this.#watch(containerId).onLog(listener);
  }

  /** Log frames from an offset on that are there now; see logs.ts. */
  readLogs(containerId: string, range: { offset: number; maxBytes: number }): LogChunk[] {
    return readLogs(this.#files(containerId).dir, range);
  }

  /** Everything below the offset is stored elsewhere: its room is free again. */
  dropLogs(containerId: string, range: { belowOffset: number }): void {
    dropLogs(this.#files(containerId).dir, range);
  }

  /** Signals pid 1 of the container, which passes it on to the command. False when it has ended. */
  async signal(containerId: string, name: keyof typeof signals): Promise<boolean> {
    const started = readStarted(this.#files(containerId).started);
    if (!started) return false;
    const cgroup = containerCgroup(this.#context.instance, containerId);
    const argv = ["signal", "--pid", String(started.pid), "--start", started.startTicks, "--cgroup", cgroup, "--signal", String(signals[name])];
    const { code, stderr } = await this.#context.spawner.run([this.#context.nativePath, ...argv]);
    if (code !== 0 && code !== 3) throw new RuntimeError("signal container", stderr); // 3: no such process any more
    return code === 0;
  }

  /** SIGKILL to everything in the container. */
  async kill(containerId: string): Promise<void> {
    await this.#killCgroup(containerCgroup(this.#context.instance, containerId));
  }

  /** What the container has used so far, also after its end until it is released; undefined before its start. */
  usage(containerId: string): Usage | undefined {
    return readUsage(containerCgroup(this.#context.instance, containerId));
  }

  /** Ends pools and spawner; containers run on. */
  async close(): Promise<void> {
    for (const watch of this.#watches.values()) watch.close();
    await this.#parts.network.close();
    await this.#parts.scratch.close();
    await this.#parts.identities.close();
    await this.#context.spawner.close();
  }

  #files(containerId: string) {
    return containerFiles(this.#context.containersDir, containerId);
  }

  #watch(containerId: string): ShimWatch {
    const known = this.#watches.get(containerId);
    if (known) return known;
    const watch = new ShimWatch(this.#context.containersDir, containerId);
    this.#watches.set(containerId, watch);
    return watch;
  }

  /** Begins the kernel's wait before a process may change its cgroup, so that the start that follows need not (c/spawn.c says more). */
  #nudgeCgroups(): void {
    const now = performance.now();
    if (now - this.#nudgedAt < nudgeLastsMs) return;
    this.#nudgedAt = now;
    this.#context.spawner.nudgeCgroups();
  }

  async #killCgroup(cgroup: string): Promise<void> {
    const { code, stderr } = await this.#context.spawner.run([this.#context.nativePath, "kill-cgroup", cgroup]);
    if (code !== 0) throw new RuntimeError("kill container", stderr);
  }

  #lease(containerId: string): Lease {
    return this.#parts.held.get(containerId) ?? {};
  }

  #hold(containerId: string, more: Lease): void {
    this.#keep(containerId, { ...this.#lease(containerId), ...more });
  }

  #keep(containerId: string, lease: Lease): void {
    if (Object.keys(lease).length > 0) this.#parts.held.set(containerId, lease);
    else this.#parts.held.delete(containerId);
  }
}

/** A small file system in memory for the runtime's own state: on a disk each start waits for it, and what is stale after a reboot should be gone. */
async function openStateDir({ runDir, nativePath, spawner }: { runDir: string; nativePath: string; spawner: Spawner }): Promise<string> {
  const stateDir = path.join(runDir, "oci");
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  const isMounted = readFileSync("/proc/self/mounts", "utf8").includes(` ${stateDir} tmpfs `);
  if (isMounted) return stateDir;
  const { code, stderr } = await spawner.run([nativePath, "scratch-tmpfs", "--target", stateDir, "--bytes", String(64 * 2 ** 20), "--inodes", "65536"]);
  if (code !== 0) throw new RuntimeError("mount runtime state", stderr);
  return stateDir;
}

/** The agent's own hard limit, at most 65,536: without CAP_SYS_RESOURCE a start that asks for more fails. */
function openFilesLimit(): number {
  const hard = /^Max open files\s+\S+\s+(\S+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
  return hard === undefined || hard === "unlimited" ? 65_536 : Math.min(65_536, Number(hard));
}
