import { type AppEvent, type AppState, parseAppState, transitionApp } from "@squall/core/app-lifecycle";
import { ServiceError } from "@squall/core/errors";
import type { Id } from "@squall/core/ids";
import type { Transaction } from "@squall/db/database";
import { writeAudit } from "../audit.ts";
import type { ServiceContext } from "../context.ts";

/** Locks the app's row and moves it; answers the state before and after. Throws `notFound`, and `failedPrecondition` for an event it does not know. */
export async function moveApp(
  tx: Transaction,
  ctx: ServiceContext<"clock" | "random">,
  { appId, event, reason }: { readonly appId: Id<"app">; readonly event: AppEvent; readonly reason: string },
): Promise<{ readonly before: AppState; readonly after: AppState }> {
  const rows = await tx.$queryRaw<{ state: string }[]>`SELECT state FROM app WHERE id = ${appId} AND workspace_id = ${ctx.workspace.id} FOR UPDATE`;
  const row = rows[0];
  if (row === undefined) throw new ServiceError("notFound", `App ${appId} does not exist in workspace ${ctx.workspace.name}.`);
  const before = parseAppState(row.state);
  const after = transitionApp(before, event);
  if (after === "illegal") throw new ServiceError("failedPrecondition", `App ${appId} is ${before}: it cannot ${event}.`);
  if (after === before) return { before, after };
  const stoppedAtMs = after === "stopped" ? { stoppedAtMs: BigInt(ctx.deps.clock.now()) } : {};
  const stopReason = after === "stopping" ? { stopReason: reason } : {};
  await tx.app.update({ where: { id: appId }, data: { state: after, ...stoppedAtMs, ...stopReason } });
  await writeAudit(tx, ctx, { action: `app.${after}`, resourceId: appId, details: { before, reason } });
  return { before, after };
}
