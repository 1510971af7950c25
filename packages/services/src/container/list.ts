import { asId, type Id } from "@squall/core/ids";
import { authorize } from "../authorize.ts";
import type { ServiceContext } from "../context.ts";

export interface ListedContainer {
  readonly containerId: Id<"container">;
  readonly appId: Id<"app">;
  readonly appDescription: string;
  readonly requestedAtMs: number;
  readonly startedAtMs: number | undefined;
}

export interface ListContainersInput {
  /** Undefined for all apps. */
  readonly appId: Id<"app"> | undefined;
  /** Empty for all environments. */
  readonly environmentName: string;
}

const maxListed = 10_000;

/** The workspace's containers that have not ended, newest first. */
export async function listContainers({ ctx, input }: { ctx: ServiceContext<"db">; input: ListContainersInput }): Promise<readonly ListedContainer[]> {
  authorize(ctx, "container", "read");
  const environmentName = input.environmentName === "" ? null : input.environmentName;
  const rows = await ctx.deps.db.transaction(
    ctx.workspace.id,
    (tx) => tx.$queryRaw<{ id: string; app_id: string; description: string; name: string | null; requested_at_ms: bigint; started_at_ms: bigint | null }[]>`
      SELECT c.id, c.app_id, a.description, a.name, c.requested_at_ms, c.started_at_ms
        FROM container c JOIN app a ON a.id = c.app_id JOIN environment e ON e.id = a.environment_id
       WHERE c.workspace_id = ${ctx.workspace.id} AND c.state <> 'exited' AND (${input.appId ?? null}::text IS NULL OR c.app_id = ${input.appId ?? null})
         AND (${environmentName}::text IS NULL OR e.name = ${environmentName})
       ORDER BY c.id DESC LIMIT ${maxListed}`,
  );
  return rows.map((row) => ({
    containerId: asId("container", row.id),
    appId: asId("app", row.app_id),
    appDescription: row.name ?? row.description,
    requestedAtMs: Number(row.requested_at_ms),
    startedAtMs: row.started_at_ms === null ? undefined : Number(row.started_at_ms),
  }));
}
