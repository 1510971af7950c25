import { authorize } from "../authorize.ts";
import type { ServiceContext } from "../context.ts";

/** Names of the caller's workspace and of the caller: a user, or the container's id. */
export async function getNames({ ctx }: { ctx: ServiceContext<"db"> }): Promise<{ readonly workspaceName: string; readonly userName: string }> {
  authorize(ctx, "workspace", "read");
  const { actor } = ctx;
  if (actor.kind !== "user") return { workspaceName: ctx.workspace.name, userName: actor.kind === "container" ? actor.containerId : actor.name };
  const user = await ctx.deps.db.transaction(ctx.workspace.id, (tx) => tx.appUser.findUniqueOrThrow({ where: { id: actor.userId } }));
  return { workspaceName: ctx.workspace.name, userName: user.name };
}
