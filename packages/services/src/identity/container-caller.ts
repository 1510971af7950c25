import { asId, type Id } from "@squall/core/ids";
import type { Actor, ServiceContext, ServiceDeps } from "../context.ts";

interface Row {
  readonly app_id: string;
  readonly function_id: string;
  readonly workspace_id: string;
  readonly workspace_name: string;
}

/** Who a live container is; undefined for one that does not exist, has ended, or is not on the worker that vouches for it. */
export async function findContainerCaller(
  { db }: Pick<ServiceDeps, "db">,
  { containerId, workerId }: { readonly containerId: Id<"container">; readonly workerId: Id<"worker"> },
): Promise<{ readonly actor: Actor; readonly workspace: ServiceContext["workspace"] } | undefined> {
  const { rows } = await db.engine.query<Row>(
    `SELECT c.app_id, c.function_id, c.workspace_id, w.name AS workspace_name
     FROM container c JOIN workspace w ON w.id = c.workspace_id
     WHERE c.id = $1 AND c.worker_id = $2 AND c.state <> 'exited'`,
    [containerId, workerId],
  );
  const [row] = rows;
  if (!row) return undefined;
  return {
    actor: { kind: "container", containerId, functionId: asId("function", row.function_id), appId: asId("app", row.app_id) },
    workspace: { id: asId("workspace", row.workspace_id), name: row.workspace_name },
  };
}
