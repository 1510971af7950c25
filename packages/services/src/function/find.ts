import { ServiceError } from "@squall/core/errors";
import { authorize } from "../authorize.ts";
import type { ServiceContext } from "../context.ts";
import { findEnvironment } from "../environment/internal.ts";
import { fromRow, type StoredFunction } from "./stored-function.ts";

export interface FindFunctionInput {
  readonly appName: string;
  readonly tag: string;
  /** Empty for the workspace's default environment. */
  readonly environmentName: string;
}

/** A function of a deployed app by name. The text of the refusal says which of the two names is unknown. */
export async function findFunction({ ctx, input }: { ctx: ServiceContext<"db">; input: FindFunctionInput }): Promise<StoredFunction> {
  authorize(ctx, "function", "read");
  return ctx.deps.db.transaction(ctx.workspace.id, async (tx) => {
    const environment = await findEnvironment(tx, ctx, input.environmentName);
    const app = await tx.app.findFirst({
      where: { workspaceId: ctx.workspace.id, environmentId: environment.id, name: input.appName, state: "deployed" },
      orderBy: { id: "desc" },
    });
    if (!app) throw new ServiceError("notFound", `App '${input.appName}' not found in environment '${environment.name}'.`);
    const row = await tx.function.findUnique({ where: { appId_tag: { appId: app.id, tag: input.tag } } });
    if (!row) throw new ServiceError("notFound", `App '${input.appName}' has no function '${input.tag}'.`);
    return fromRow(row);
  });
}
