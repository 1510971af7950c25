import { type AppState, parseAppState } from "@squall/core/app-lifecycle";
import { asId, type Id } from "@squall/core/ids";
import { authorize } from "../authorize.ts";
import type { ServiceContext } from "../context.ts";
import { findEnvironment } from "../environment/internal.ts";

export interface AppSummary {
  readonly id: Id<"app">;
  /** Undefined for one that was never deployed. */
  readonly name: string | undefined;
  readonly description: string;
  readonly state: AppState;
  readonly createdAtMs: number;
  readonly stoppedAtMs: number | undefined;
  readonly runningContainers: number;
}

const maxListed = 200;

/** The newest 200 apps of an environment, newest first. */
export async function listApps({ ctx, input }: { ctx: ServiceContext<"db">; input: { readonly environmentName: string } }): Promise<readonly AppSummary[]> {
  authorize(ctx, "app", "read");
  const workspaceId = ctx.workspace.id;
  return ctx.deps.db.transaction(workspaceId, async (tx) => {
    const environment = await findEnvironment(tx, ctx, input.environmentName);
    const apps = await tx.app.findMany({ where: { workspaceId, environmentId: environment.id }, orderBy: { id: "desc" }, take: maxListed });
    const running = await tx.container.groupBy({
      by: ["appId"],
      where: { workspaceId, appId: { in: apps.map(({ id }) => id) }, state: { in: ["preparing", "starting", "ready", "stopping"] } },
      _count: true,
    });
    const counts = new Map(running.map(({ appId, _count }) => [appId, _count]));
    return apps.map((row) => ({
      id: asId("app", row.id),
      name: row.name ?? undefined,
      description: row.description,
      state: parseAppState(row.state),
      createdAtMs: Number(row.createdAtMs),
      stoppedAtMs: row.stoppedAtMs === null ? undefined : Number(row.stoppedAtMs),
      runningContainers: counts.get(row.id) ?? 0,
    }));
  });
}
