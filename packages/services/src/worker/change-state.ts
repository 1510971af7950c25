import { ServiceError } from "@squall/core/errors";
import type { Id } from "@squall/core/ids";
import { parseWorkerState, transitionWorker, type WorkerEvent, type WorkerState } from "@squall/core/worker-lifecycle";
import type { ServiceDeps } from "../context.ts";
import { textOf } from "../journal/sql.ts";

/** Marks a worker lost, cordons it and so on. Answers the state it has now; an event that its state does not know changes nothing. */
export async function changeWorkerState({
  deps,
  workerId,
  event,
}: {
  deps: Pick<ServiceDeps, "db">;
  workerId: Id<"worker">;
  event: Exclude<WorkerEvent, "connect">;
}): Promise<WorkerState> {
  const { rows } = await deps.db.engine.query("SELECT state FROM worker WHERE id = $1", [workerId]);
  const row = rows[0];
  if (row === undefined) throw new ServiceError("notFound", `There is no worker ${workerId}.`);
  const state = parseWorkerState(textOf(row, "state"));
  const next = transitionWorker(state, event);
  if (next === "illegal" || next === state) return state;
  const { rowCount } = await deps.db.engine.query("UPDATE worker SET state = $2 WHERE id = $1 AND state = $3", [workerId, next, state]);
  return rowCount === 1 ? next : state;
}
