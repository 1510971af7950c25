/** Inside the cell: interleaved rounds of ours and of runc; the result is the last line of standard output. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { removeInstanceLeftovers } from "@squall/runtime/leftovers";
import { openRuntime, type Runtime } from "@squall/runtime/runtime";
import { idCount } from "@squall/runtime/spec/build";
import { seccompProfile } from "@squall/runtime/spec/seccomp";
import { quantile, type Round } from "../src/report.ts";

export interface CellResult {
  readonly p50: readonly { readonly parallel: number; readonly peer: Peer; readonly rounds: readonly Round[] }[];
  readonly perSecond: readonly Round[];
}

/** `plain`: as `runc spec` writes it. `hardened`: with our filter, limits and a user namespace, which is what ours does. */
export type Peer = "plain" | "hardened";

/** Milliseconds from the request to the first instruction of the command; the container is removed when it resolves. */
type Start = (id: string) => Promise<number>;

const roundCount = 7;
const [native = "", home = ""] = process.argv.slice(2);
const tree = join(home, "tree");
const place = { instance: "bench".padEnd(6, "s"), nativePath: native, runDir: join(home, "run"), containersDir: join(home, "agent") };

makeTree();
const runtime = await openRuntime({ ...place, blobPort: 4790, networkPoolSize: 24, scratchPoolSize: 24, onError: fail });
const theirs = prepareRunc(runtime, "plain");
const theirsHardened = prepareRunc(runtime, "hardened");
const ours = prepareOurs(runtime);
const p50: CellResult["p50"][number][] = [];
await burst(ours, 4, "warm");
await burst(theirs, 4, "warm");
await burst(theirsHardened, 4, "warm-h");
for (const parallel of [1, 8, 20]) {
  const plain: Round[] = [];
  const hardened: Round[] = [];
  for (let round = 0; round < roundCount; round++) {
    const own = await median(ours, parallel, `o${parallel}-${round}`);
    plain.push({ ours: own, theirs: await median(theirs, parallel, `t${parallel}-${round}`) });
    hardened.push({ ours: own, theirs: await median(theirsHardened, parallel, `h${parallel}-${round}`) });
  }
  p50.push({ parallel, peer: "plain", rounds: plain }, { parallel, peer: "hardened", rounds: hardened });
}
const perSecond: Round[] = [];
for (let round = 0; round < 5; round++) perSecond.push({ ours: await rate(ours, `or${round}`), theirs: await rate(theirs, `tr${round}`) });
await runtime.close();
await removeInstanceLeftovers(place);
process.stdout.write(`${JSON.stringify({ p50, perSecond } satisfies CellResult)}\n`);

function prepareOurs(runtime: Runtime): Start {
  return async (id) => {
    const containerId = `ta-${id}`;
    const requestedAt = process.hrtime.bigint();
    const { uidBase } = runtime.claimIdentity(containerId);
    const network = await runtime.takeNetwork(containerId, { blockNetwork: false });
    await runtime.prepareRoot({ containerId });
    await runtime.mountRoot({ containerId, lowers: [tree], uidBase });
    const limits = { milliCpu: 1000, memoryBytes: 128 << 20, pidsLimit: 128, sharedMemoryBytes: 16 << 20 };
    await runtime.startContainer({ containerId, uidBase, network, hostname: "bench", args: ["/stamp"], env: {}, cwd: "/", binds: [], devices: [], ...limits });
    const end = await runtime.waitExit(containerId);
    const frames = runtime.readLogs(containerId, { offset: 0, maxBytes: 1 << 20 })[0]?.frames;
    if (end.kind !== "exited" || end.code !== 0 || !frames) throw new Error(`${containerId}: ${JSON.stringify(end)}`);
    await runtime.releaseRoot(containerId);
    await runtime.releaseNetwork(containerId);
    runtime.releaseIdentity(containerId);
    return sinceMs(requestedAt, frames.subarray(13).toString());
  };
}

/** `runc spec` as it comes, but for the command and a terminal that nobody has; hardened on demand. Started by the same small spawner as ours. */
function prepareRunc(runtime: Runtime, peer: Peer): Start {
  const bundle = join(home, `bundle-${peer}`);
  mkdirSync(bundle, { recursive: true });
  execFileSync("runc", ["spec", "--bundle", bundle]);
  const file = join(bundle, "config.json");
  const specification = JSON.parse(readFileSync(file, "utf8"));
  specification.root.path = tree;
  specification.process.args = ["/stamp"];
  specification.process.terminal = false;
  if (peer === "hardened") harden(specification.linux);
  writeFileSync(file, JSON.stringify(specification));
  return async (id) => {
    const requestedAt = process.hrtime.bigint();
    const { code, stdout, stderr } = await runtime.spawner.run(["/usr/sbin/runc", "--root", "/dev/shm/runc", "run", "--bundle", bundle, `bench-${id}`]);
    if (code !== 0) throw new Error(`runc: ${stderr}`);
    return sinceMs(requestedAt, stdout);
  };
}

/** What our containers have on top of `runc spec`: a user namespace, our list of system calls, limits of memory, processes and CPU. */
function harden(linux: Record<string, unknown> & { namespaces: { type: string }[] }): void {
  const ids = [{ containerID: 0, hostID: 1_000_000, size: idCount }];
  linux.namespaces.push({ type: "user" });
  const memory = { limit: 128 << 20, swap: 128 << 20 };
  Object.assign(linux, { uidMappings: ids, gidMappings: ids, seccomp: seccompProfile(), resources: { memory, pids: { limit: 128 }, cpu: { shares: 1024 } } });
}

async function median(start: Start, parallel: number, name: string): Promise<number> {
  const took: number[] = [];
  for (let batch = 0; batch < (parallel === 1 ? 10 : 2); batch++) {
    await runtime.poolsFilled();
    took.push(...(await burst(start, parallel, `${name}-${batch}`)));
  }
  return quantile(took, 0.5);
}

async function rate(start: Start, name: string): Promise<number> {
  await runtime.poolsFilled();
  const startedAt = performance.now();
  const lanes = Array.from({ length: 8 }, async (_, lane) => {
    for (let turn = 0; turn < 5; turn++) await start(`${name}-${lane}-${turn}`);
  });
  await Promise.all(lanes);
  await runtime.poolsFilled(); // what was taken from the pools is part of the cost
  return (8 * 5) / ((performance.now() - startedAt) / 1000);
}

function burst(start: Start, parallel: number, name: string): Promise<number[]> {
  return Promise.all(Array.from({ length: parallel }, (_, index) => start(`${name}-${index}`)));
}

function sinceMs(requestedAt: bigint, stamp: string): number {
  return Number(BigInt(stamp.trim()) - requestedAt) / 1e6;
}

function makeTree(): void {
  for (const dir of ["proc", "dev", "sys", "etc"]) mkdirSync(join(tree, dir), { recursive: true });
  execFileSync("gcc", ["-O2", "-static", "-s", "-o", join(tree, "stamp"), join(import.meta.dirname, "stamp.c")]);
}

function fail(error: unknown): void {
  throw error;
}
