import { ServiceError } from "@squall/core/errors";
import { asId, type Id, newId } from "@squall/core/ids";
import { parseWorkerState, transitionWorker, type WorkerState } from "@squall/core/worker-lifecycle";
import type { GpuStock } from "@squall/scheduler/view";
import type { ServiceDeps } from "../context.ts";
import { numberOf, type Sql, textOf } from "../journal/sql.ts";

export interface WorkerDescription {
  /** Stable name of machine and instance: the row is found or made by it. */
  readonly name: string;
  readonly tokenHash: Buffer;
  readonly milliCpu: number;
  readonly memoryBytes: number;
  readonly gpus: readonly GpuStock[];
  readonly kernel: string;
  readonly runtimes: readonly string[];
  readonly agentVersion: string;
}

export interface RegisteredWorker {
  readonly workerId: Id<"worker">;
  /** Grows with every registration: a placement decided for an earlier one is refused. */
  readonly epoch: number;
  readonly state: WorkerState;
}

/**
 * Notes that a worker is there, with what it has. Throws `permissionDenied` when the name belongs to a worker with another token that still holds.
 */
export async function registerWorker({
  deps,
  input,
}: {
  deps: Pick<ServiceDeps, "db" | "clock" | "random">;
  input: WorkerDescription;
}): Promise<RegisteredWorker> {
  const connection = await deps.db.engine.connect();
  try {
    await connection.query("BEGIN");
    const worker = await register(connection, deps, input);
    await connection.query("COMMIT");
    return worker;
  } catch (error) {
    await connection.query("ROLLBACK");
    throw error;
  } finally {
    connection.release();
  }
}

async function register(connection: Sql, deps: Pick<ServiceDeps, "clock" | "random">, input: WorkerDescription): Promise<RegisteredWorker> {
  const nowMs = deps.clock.now();
  await connection.query({
    text: `INSERT INTO worker (id, name, token_hash, state, created_at_ms) VALUES ($1, $2, $3, 'online', $4) ON CONFLICT (name) DO NOTHING`,
    values: [newId("worker", deps), input.name, input.tokenHash, nowMs],
  });
  const { rows } = await connection.query({
    text: `SELECT w.id, w.epoch, w.state, w.token_hash = $2 OR NOT EXISTS (
         SELECT 1 FROM worker_token t WHERE t.token_hash = w.token_hash AND t.revoked_at_ms IS NULL) AS may_have_name
       FROM worker w WHERE w.name = $1 FOR UPDATE`,
    values: [input.name, input.tokenHash],
  });
  const row = rows[0];
  if (row?.may_have_name !== true) throw new ServiceError("permissionDenied", `A worker named ${JSON.stringify(input.name)} is registered with another token.`);
  const workerId = asId("worker", textOf(row, "id"));
  const epoch = numberOf(row, "epoch") + 1;
  const next = transitionWorker(parseWorkerState(textOf(row, "state")), "connect");
  if (next === "illegal") throw new Error(`worker ${workerId} cannot connect`); // every state may: see the lifecycle
  await connection.query({
    text: `UPDATE worker SET epoch = $2, state = $3, token_hash = $4, milli_cpu = $5, memory_bytes = $6, gpus = $7, kernel = $8, runtimes = $9,
       agent_version = $10, last_report_at_ms = $11 WHERE id = $1`,
    values: [
      workerId,
      epoch,
      next,
      input.tokenHash,
      input.milliCpu,
      input.memoryBytes,
      JSON.stringify(input.gpus),
      input.kernel,
      JSON.stringify(input.runtimes),
      input.agentVersion,
      nowMs,
    ],
  });
  return { workerId, epoch, state: next };
}
