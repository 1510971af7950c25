import { asId } from "@squall/core/ids";
import type { ServiceDeps } from "../context.ts";
import { optionalTextOf, textOf } from "../journal/sql.ts";
import type { AppOfWorkspace } from "./list-with-caller.ts";

/** Apps of all workspaces that began to stop and have not ended: for the reconciler that ends them. */
export async function listStoppingApps({ deps }: { deps: Pick<ServiceDeps, "db"> }): Promise<readonly (AppOfWorkspace & { readonly reason: string })[]> {
  const { rows } = await deps.db.engine.query(
    "SELECT a.id, a.workspace_id, w.name, a.stop_reason FROM app a JOIN workspace w ON w.id = a.workspace_id WHERE a.state = 'stopping'",
  );
  return rows.map((row) => ({
    appId: asId("app", textOf(row, "id")),
    workspace: { id: asId("workspace", textOf(row, "workspace_id")), name: textOf(row, "name") },
    reason: optionalTextOf(row, "stop_reason") ?? "it was asked to",
  }));
}
