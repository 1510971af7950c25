import type { Id } from "@squall/core/ids";
import { authorize } from "../authorize.ts";
import type { ServiceContext } from "../context.ts";
import { moveApp } from "./internal.ts";

/** Begins to stop an app of any kind: from now on nothing of it starts. `finishAppStop` follows when its calls and containers have ended. */
export async function stopApp({
  ctx,
  input,
}: {
  ctx: ServiceContext<"db" | "clock" | "random">;
  input: { readonly appId: Id<"app">; readonly reason: string };
}): Promise<void> {
  authorize(ctx, "app", "write");
  await ctx.deps.db.transaction(ctx.workspace.id, (tx) => moveApp(tx, ctx, { appId: input.appId, event: "stop", reason: input.reason }));
}
