import type { Id } from "@squall/core/ids";
import { authorize } from "../authorize.ts";
import type { ServiceContext } from "../context.ts";
import { moveApp } from "./internal.ts";

/** Nothing of the app runs any more. */
export async function finishAppStop({ ctx, input }: { ctx: ServiceContext<"db" | "clock" | "random">; input: { readonly appId: Id<"app"> } }): Promise<void> {
  authorize(ctx, "app", "write");
  await ctx.deps.db.transaction(ctx.workspace.id, (tx) => moveApp(tx, ctx, { appId: input.appId, event: "ended", reason: "" }));
}
