import { ServiceError } from "@squall/core/errors";
import type { Id } from "@squall/core/ids";
import { authorize } from "../authorize.ts";
import type { ServiceContext } from "../context.ts";

/** How many containers a function may and must have; undefined means as it is (update) or unbounded (`maxContainers` of an answer). */
export interface ScalingSettings {
  readonly minContainers: number | undefined;
  readonly maxContainers: number | undefined;
  readonly bufferContainers: number | undefined;
  readonly scaledownWindowMs: number | undefined;
}

const mostContainers = 10_000;

/** Changes the bounds of a function until it is defined again. Throws `notFound`, and `invalidArgument` for bounds that contradict each other. */
export async function updateScaling({
  ctx,
  input,
}: {
  ctx: ServiceContext<"db">;
  input: { readonly functionId: Id<"function">; readonly settings: ScalingSettings };
}): Promise<ScalingSettings> {
  authorize(ctx, "function", "write");
  return ctx.deps.db.transaction(ctx.workspace.id, async (tx) => {
    const { minContainers, maxContainers, bufferContainers, scaledownWindowMs } = input.settings;
    const before = await tx.function.findFirst({ where: { id: input.functionId, workspaceId: ctx.workspace.id } });
    if (!before) throw notFound(ctx, input.functionId);
    const least = minContainers ?? before.minContainers;
    const most = maxContainers ?? before.maxContainers ?? undefined;
    if (most !== undefined && least > most) throw new ServiceError("invalidArgument", `min_containers=${least} is more than max_containers=${most}.`);
    if (least > mostContainers) throw new ServiceError("invalidArgument", `min_containers=${least} is too many: ${mostContainers} at most.`);
    const row = await tx.function.update({
      where: { id: input.functionId },
      data: {
        ...(minContainers === undefined ? {} : { minContainers }),
        ...(maxContainers === undefined ? {} : { maxContainers }),
        ...(bufferContainers === undefined ? {} : { bufferContainers }),
        ...(scaledownWindowMs === undefined ? {} : { scaledownWindowMs }),
      },
    });
    return settingsOf(row);
  });
}

export async function getScaling({ ctx, input }: { ctx: ServiceContext<"db">; input: { readonly functionId: Id<"function"> } }): Promise<ScalingSettings> {
  authorize(ctx, "function", "read");
  const row = await ctx.deps.db.transaction(ctx.workspace.id, (tx) =>
    tx.function.findFirst({ where: { id: input.functionId, workspaceId: ctx.workspace.id } }),
  );
  if (!row) throw notFound(ctx, input.functionId);
  return settingsOf(row);
}

function settingsOf(row: { minContainers: number; maxContainers: number | null; bufferContainers: number; scaledownWindowMs: number }): ScalingSettings {
  const { minContainers, maxContainers, bufferContainers, scaledownWindowMs } = row;
  return { minContainers, maxContainers: maxContainers ?? undefined, bufferContainers, scaledownWindowMs };
}

function notFound(ctx: ServiceContext<never>, functionId: string): ServiceError {
  return new ServiceError("notFound", `Function ${functionId} does not exist in workspace ${ctx.workspace.name}.`);
}
