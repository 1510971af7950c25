import { asId, type Id, isId } from "@squall/core/ids";
import type { ServiceDeps } from "../context.ts";
import type { ContainerOfApp } from "./app-feed.ts";

/** Whose a container's log is. */
export interface LogOwner {
  readonly appId: Id<"app">;
  readonly functionId: Id<"function">;
  readonly workerId: Id<"worker"> | undefined;
}

/** For the relay, whose agents speak for containers of all workspaces: the owner of this container's log, or undefined when there is no such container. */
export async function findLogOwner({ db }: Pick<ServiceDeps, "db">, containerId: string): Promise<LogOwner | undefined> {
  if (!isId("container", containerId)) return undefined;
  const query = "SELECT app_id, function_id, worker_id FROM container WHERE id = $1";
  const { rows } = await db.engine.query<{ app_id: string; function_id: string; worker_id: string | null }>(query, [containerId]);
  const [row] = rows;
  if (!row) return undefined;
  return {
    appId: asId("app", row.app_id),
    functionId: asId("function", row.function_id),
    workerId: row.worker_id === null ? undefined : asId("worker", row.worker_id),
  };
}

/** What the relay has to know of an app when it opens its logs. */
export interface LoggedApp {
  readonly isStopped: boolean;
  /** All that were given to a worker, in the order of their ids. */
  readonly containers: readonly (ContainerOfApp & { readonly hasStarted: boolean })[];
}

/** As `findLogOwner`, for an app. */
export async function findLoggedApp({ db }: Pick<ServiceDeps, "db">, appId: Id<"app">): Promise<LoggedApp> {
  const app = await db.engine.query<{ state: string }>("SELECT state FROM app WHERE id = $1", [appId]);
  const query = "SELECT id, function_id, started_at_ms FROM container WHERE app_id = $1 AND worker_id IS NOT NULL ORDER BY id";
  const { rows } = await db.engine.query<{ id: string; function_id: string; started_at_ms: number | null }>(query, [appId]);
  const containers = rows.map((row) => ({
    containerId: asId("container", row.id),
    functionId: asId("function", row.function_id),
    hasStarted: row.started_at_ms !== null,
  }));
  return { isStopped: app.rows[0]?.state === "stopped", containers };
}
