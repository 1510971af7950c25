import type { Id } from "@squall/core/ids";
import type { ServiceDeps } from "../context.ts";

/** A reading of one container: what it used between two moments and what was reserved for it meanwhile. */
export interface UsageReading {
  readonly containerId: string;
  /** From 0, without gaps; a reading is stored once by (container, seq). */
  readonly seq: number;
  readonly fromMs: number;
  readonly toMs: number;
  readonly cpuNs: number;
  readonly peakMemoryBytes: number;
  readonly milliCpu: number;
  readonly memoryBytes: number;
  readonly gpuType: string | undefined;
  readonly gpuCount: number;
}

/**
 * Appends readings, each once however often it is sent. Readings of containers that this worker never held, or whose time runs backwards, are dropped:
 * a worker can neither bill another's containers nor make up time. Resolves when all that will be stored is stored.
 */
export async function recordUsage({
  deps,
  workerId,
  readings,
}: {
  deps: Pick<ServiceDeps, "db">;
  workerId: Id<"worker">;
  readings: readonly UsageReading[];
}): Promise<{ readonly stored: number }> {
  if (readings.length === 0) return { stored: 0 };
  const column = <Value>(of: (reading: UsageReading) => Value): Value[] => readings.map(of);
  const { rowCount } = await deps.db.engine.query(
    `INSERT INTO usage_segment (container_id, seq, workspace_id, app_id, function_id, from_ms, to_ms, cpu_ns, peak_memory_bytes, milli_cpu, memory_bytes,
       gpu_type, gpu_count)
     SELECT c.id, n.seq, c.workspace_id, c.app_id, c.function_id, n.from_ms, n.to_ms, n.cpu_ns, n.peak_memory_bytes, n.milli_cpu, n.memory_bytes, n.gpu_type, n.gpu_count
       FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::int[], $9::bigint[], $10::text[], $11::int[])
         AS n (container_id, seq, from_ms, to_ms, cpu_ns, peak_memory_bytes, milli_cpu, memory_bytes, gpu_type, gpu_count)
       JOIN container c ON c.id = n.container_id AND c.worker_id = $1
      WHERE n.to_ms >= n.from_ms
     ON CONFLICT (container_id, seq) DO NOTHING`,
    [
      workerId,
      column((reading) => reading.containerId),
      column((reading) => reading.seq),
      column((reading) => reading.fromMs),
      column((reading) => reading.toMs),
      column((reading) => reading.cpuNs),
      column((reading) => reading.peakMemoryBytes),
      column((reading) => reading.milliCpu),
      column((reading) => reading.memoryBytes),
      column((reading) => reading.gpuType ?? null),
      column((reading) => reading.gpuCount),
    ],
  );
  return { stored: rowCount ?? 0 };
}
