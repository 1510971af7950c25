import { appStates, needsCaller } from "@squall/core/app-lifecycle";
import { asId, type Id } from "@squall/core/ids";
import type { ServiceContext, ServiceDeps } from "../context.ts";
import { textOf } from "../journal/sql.ts";

export interface AppOfWorkspace {
  readonly appId: Id<"app">;
  readonly workspace: ServiceContext["workspace"];
}

const states = appStates.filter(needsCaller);

/** Apps of all workspaces that must be heard of: for the reconciler that looks after them. */
export async function listAppsWithCaller({ deps }: { deps: Pick<ServiceDeps, "db"> }): Promise<readonly AppOfWorkspace[]> {
  const { rows } = await deps.db.engine.query(
    `SELECT a.id, a.workspace_id, w.name FROM app a JOIN workspace w ON w.id = a.workspace_id WHERE a.state NOT IN ('stopping', 'stopped') AND a.state = ANY($1)`,
    [states],
  );
  return rows.map((row) => ({
    appId: asId("app", textOf(row, "id")),
    workspace: { id: asId("workspace", textOf(row, "workspace_id")), name: textOf(row, "name") },
  }));
}
