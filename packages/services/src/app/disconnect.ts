import type { Id } from "@squall/core/ids";
import { authorize } from "../authorize.ts";
import type { ServiceContext } from "../context.ts";
import { moveApp } from "./internal.ts";

export interface DisconnectAppInput {
  readonly appId: Id<"app">;
  /** It said goodbye, or its heartbeats stopped. */
  readonly because: "goodbye" | "lost";
  /** For people, as the end of a sentence. */
  readonly reason: string;
}

/** The caller is gone: an ephemeral app begins to stop, a detached or deployed one goes on. Saying it twice changes nothing. */
export async function disconnectApp({
  ctx,
  input,
}: {
  ctx: ServiceContext<"db" | "clock" | "random">;
  input: DisconnectAppInput;
}): Promise<{ readonly isStopping: boolean }> {
  authorize(ctx, "app", "write");
  const event = input.because === "lost" ? "lose" : "disconnect";
  const { after } = await ctx.deps.db.transaction(ctx.workspace.id, (tx) => moveApp(tx, ctx, { appId: input.appId, event, reason: input.reason }));
  return { isStopping: after === "stopping" };
}
