import { ServiceError } from "@squall/core/errors";
import { asId, type Id } from "@squall/core/ids";
import { authorize } from "../authorize.ts";
import type { ServiceContext } from "../context.ts";

/** The app whose logs the caller asks for, by its id or by a container's; `notFound` unless it is in the caller's workspace. */
export async function authorizeLogRead({
  ctx,
  input,
}: {
  ctx: ServiceContext<"db">;
  input: { readonly appId: string; readonly containerId: string };
}): Promise<Id<"app">> {
  authorize(ctx, "log", "read");
  const { appId, containerId } = input;
  return await ctx.deps.db.transaction(ctx.workspace.id, async (tx) => {
    const workspaceId = ctx.workspace.id;
    const found =
      appId === ""
        ? (await tx.container.findFirst({ where: { id: containerId, workspaceId }, select: { appId: true } }))?.appId
        : (await tx.app.findFirst({ where: { id: appId, workspaceId }, select: { id: true } }))?.id;
    if (found === undefined) throw new ServiceError("notFound", appId === "" ? `Container ${containerId} not found.` : `App ${appId} not found.`);
    return asId("app", found);
  });
}
