import { ServiceError } from "@squall/core/errors";
import type { Id } from "@squall/core/ids";
import { authorize } from "../authorize.ts";
import type { ServiceContext } from "../context.ts";

/** Notes that the caller of an app is there. Throws `notFound`, and `failedPrecondition` once the app has begun to stop. */
export async function heartbeatApp({ ctx, input }: { ctx: ServiceContext<"db" | "clock">; input: { readonly appId: Id<"app"> } }): Promise<void> {
  authorize(ctx, "app", "write");
  const { count, app } = await ctx.deps.db.transaction(ctx.workspace.id, async (tx) => {
    const where = { id: input.appId, workspaceId: ctx.workspace.id };
    const { count: heard } = await tx.app.updateMany({
      where: { ...where, state: { notIn: ["stopping", "stopped"] } },
      data: { lastHeartbeatAtMs: BigInt(ctx.deps.clock.now()) },
    });
    return { count: heard, app: heard > 0 ? null : await tx.app.findFirst({ where, select: { stopReason: true } }) };
  });
  if (count > 0) return;
  if (app === null) throw new ServiceError("notFound", `App ${input.appId} does not exist in workspace ${ctx.workspace.name}.`);
  throw new ServiceError("failedPrecondition", `App ${input.appId} was stopped${app.stopReason ? `: ${app.stopReason}` : ""}.`);
}
