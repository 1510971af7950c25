import { ServiceError } from "@squall/core/errors";
import type { Transaction } from "@squall/db/database";
import type { ServiceContext } from "../context.ts";
import { environmentScope } from "../environment/internal.ts";

export type AppRow = Awaited<ReturnType<Transaction["app"]["findFirstOrThrow"]>>;

/** The app of this id in the caller's workspace; throws `notFound`. Another workspace's app does not exist. */
export async function requireApp(tx: Transaction, ctx: ServiceContext<never>, appId: string): Promise<AppRow> {
  const scope = await environmentScope(tx, ctx);
  const app = await tx.app.findFirst({ where: { id: appId, workspaceId: ctx.workspace.id, ...scope } });
  if (!app) throw new ServiceError("notFound", `App ${appId} does not exist in workspace ${ctx.workspace.name}.`);
  return app;
}

/** As `requireApp`, and it must not have been stopped. */
export async function requireLiveApp(tx: Transaction, ctx: ServiceContext<never>, appId: string): Promise<AppRow> {
  const app = await requireApp(tx, ctx, appId);
  if (app.state === "stopped" || app.state === "stopping")
    throw new ServiceError("failedPrecondition", `App ${appId} has been stopped${app.stopReason ? `: ${app.stopReason}` : ""}. Start it again.`);
  return app;
}
