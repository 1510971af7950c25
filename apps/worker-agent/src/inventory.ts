/** What this machine has to offer. Read once at start: cards and memory do not change under a running machine. */
import { execFile } from "node:child_process";
import { readFile, statfs } from "node:fs/promises";
import { availableParallelism, totalmem } from "node:os";
import { promisify } from "node:util";
import { create } from "@bufbuild/protobuf";
import { type Gpu, GpuSchema, type Inventory, InventorySchema } from "@squall/protocol/agent";
import type { FakeGpu } from "./config.ts";

const run = promisify(execFile);
const smiTimeoutMs = 5_000;
// Left for the kernel, PostgreSQL, the api and ourselves.
const reservedMemoryBytes = 768 << 20;

export interface InventoryOptions {
  readonly fakeGpus: readonly FakeGpu[];
  /** Folder whose file system holds the containers' writable layers. */
  readonly diskPath: string;
  readonly runtimes: readonly string[];
}

export async function readInventory({ fakeGpus, diskPath, runtimes }: InventoryOptions): Promise<Inventory> {
  const disk = await statfs(diskPath);
  const kernel = (await readFile("/proc/sys/kernel/osrelease", "utf8")).trim();
  const fakes = fakeGpus.map((gpu) => create(GpuSchema, { type: gpu.type, count: gpu.count, fake: true }));
  return create(InventorySchema, {
    milliCpu: availableParallelism() * 1000,
    memoryBytes: BigInt(Math.max(totalmem() >> 1, totalmem() - reservedMemoryBytes)),
    gpus: [...(await readGpus()), ...fakes],
    runtimes: [...runtimes],
    kernel,
    diskBytes: BigInt(disk.bavail) * BigInt(disk.bsize),
  });
}

/** No `nvidia-smi` on the machine means no cards: that is the ordinary case, not an error. */
async function readGpus(): Promise<Gpu[]> {
  const query = ["--query-gpu=name,memory.total,uuid", "--format=csv,noheader,nounits"];
  const answer = await run("nvidia-smi", query, { timeout: smiTimeoutMs, encoding: "utf8" }).catch(() => undefined);
  return answer ? parseSmi(answer.stdout) : [];
}

/** Lines of `NVIDIA A100-SXM4-80GB, 81920, GPU-…`, grouped by the type that users ask for. */
export function parseSmi(text: string): Gpu[] {
  const byType = new Map<string, Gpu>();
  for (const line of text.split("\n")) {
    const [name, mebibytes, uuid] = line.split(",").map((part) => part.trim());
    if (!name || !mebibytes || !uuid) continue;
    const type = gpuType(name);
    const gpu = byType.get(type) ?? create(GpuSchema, { type, memoryBytes: BigInt(mebibytes) << 20n });
    gpu.count += 1;
    gpu.uuids.push(uuid);
    byType.set(type, gpu);
  }
  return [...byType.values()];
}

/** The word of a product name that users ask by: `NVIDIA A100-SXM4-80GB` -> `A100-80GB`, `NVIDIA H100 80GB HBM3` -> `H100`, `Tesla T4` -> `T4`. */
export function gpuType(name: string): string {
  const upper = name.toUpperCase();
  const type = /\b(A100|A10G|A10|H100|H200|B200|L40S|L40|L4|T4|V100)\b/.exec(upper)?.[1];
  if (!type) return upper.replace(/^NVIDIA /, "").replaceAll(" ", "-");
  return type === "A100" && upper.includes("80GB") ? "A100-80GB" : type;
}
