import type { Id } from "@squall/core/ids";
import { authorize } from "../authorize.ts";
import type { ServiceContext } from "../context.ts";
import { forgetAppSecrets } from "../secret/forget-app-secrets.ts";
import { moveApp } from "./internal.ts";

/** Nothing of the app runs any more: it is stopped, and the values of its own secrets are forgotten. */
export async function finishAppStop({ ctx, input }: { ctx: ServiceContext<"db" | "clock" | "random">; input: { readonly appId: Id<"app"> } }): Promise<void> {
  authorize(ctx, "app", "write");
  await ctx.deps.db.transaction(ctx.workspace.id, async (tx) => {
    await forgetAppSecrets(tx, ctx, input.appId);
    await moveApp(tx, ctx, { appId: input.appId, event: "ended", reason: "" });
  });
}
