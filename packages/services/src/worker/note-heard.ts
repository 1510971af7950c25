import type { Id } from "@squall/core/ids";
import type { ServiceDeps } from "../context.ts";

/** Stores when these workers were last heard: for people; leases are counted in memory. */
export async function noteWorkersHeard({ deps, workerIds }: { deps: Pick<ServiceDeps, "db" | "clock">; workerIds: readonly Id<"worker">[] }): Promise<void> {
  await deps.db.engine.query("UPDATE worker SET last_report_at_ms = $2 WHERE id = ANY($1)", [workerIds, deps.clock.now()]);
}
