import { type Id, newId } from "@squall/core/ids";
import { requireLiveApp } from "../app-definition/internal.ts";
import { authorize } from "../authorize.ts";
import type { ServiceContext } from "../context.ts";

/** Gives a class of an app its id; its methods live in its service function. Repeated under the same idempotency key the client may get another id: ids of classes carry nothing. */
export async function createClass({
  ctx,
  input,
}: {
  ctx: ServiceContext<"db" | "clock" | "random">;
  input: { readonly appId: Id<"app"> };
}): Promise<Id<"class">> {
  authorize(ctx, "function", "write");
  const id = newId("class", ctx.deps);
  await ctx.deps.db.transaction(ctx.workspace.id, async (tx) => {
    const app = await requireLiveApp(tx, ctx, input.appId);
    await tx.class.create({ data: { id, workspaceId: ctx.workspace.id, appId: app.id, createdAtMs: BigInt(ctx.deps.clock.now()) } });
  });
  return id;
}
