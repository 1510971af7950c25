import { authorize } from "../authorize.ts";
import type { ServiceContext } from "../context.ts";
import type { Environment } from "./environment.ts";
import { findEnvironment, toEnvironment } from "./internal.ts";

/** Every environment of the workspace, oldest first; to a container only its own. */
export async function listEnvironments({ ctx }: { ctx: ServiceContext<"db"> }): Promise<readonly Environment[]> {
  authorize(ctx, "environment", "read");
  return ctx.deps.db.transaction(ctx.workspace.id, async (tx) => {
    if (ctx.actor.kind === "container") return [await findEnvironment(tx, ctx, "")];
    const rows = await tx.environment.findMany({ where: { workspaceId: ctx.workspace.id }, orderBy: { id: "asc" } });
    return rows.map(toEnvironment);
  });
}
