import { ServiceError } from "@squall/core/errors";
import type { Id } from "@squall/core/ids";
import { authorize } from "../authorize.ts";
import type { ServiceContext } from "../context.ts";
import { environmentScope } from "../environment/internal.ts";
import { fromRow, type StoredFunction } from "./stored-function.ts";

/** The function of this id in the caller's workspace, or `notFound`. */
export async function getFunction({ ctx, input }: { ctx: ServiceContext<"db">; input: { readonly functionId: Id<"function"> } }): Promise<StoredFunction> {
  authorize(ctx, "function", "read");
  const row = await ctx.deps.db.transaction(ctx.workspace.id, async (tx) => {
    const scope = await environmentScope(tx, ctx);
    return tx.function.findFirst({ where: { id: input.functionId, workspaceId: ctx.workspace.id, ...scope } });
  });
  if (!row) throw new ServiceError("notFound", `Function ${input.functionId} does not exist in workspace ${ctx.workspace.name}.`);
  return fromRow(row);
}
