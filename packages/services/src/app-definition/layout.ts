import type { Id } from "@squall/core/ids";
import { authorize } from "../authorize.ts";
import type { ServiceContext } from "../context.ts";
import { fromRow, type StoredFunction } from "../function/stored-function.ts";
import { requireApp } from "./internal.ts";

/** Everything that makes up an app. `functionIds` and `classIds` are by tag, as published. */
export interface AppLayout {
  readonly appId: Id<"app">;
  readonly functionIds: Readonly<Record<string, string>>;
  readonly classIds: Readonly<Record<string, string>>;
  readonly functions: readonly StoredFunction[];
}

/** What an app consists of; two queries whatever its size. */
export async function getAppLayout({ ctx, input }: { ctx: ServiceContext<"db">; input: { readonly appId: Id<"app"> } }): Promise<AppLayout> {
  authorize(ctx, "app", "read");
  return ctx.deps.db.transaction(ctx.workspace.id, async (tx) => {
    const app = await requireApp(tx, ctx, input.appId);
    const rows = await tx.function.findMany({ where: { appId: app.id, workspaceId: ctx.workspace.id }, orderBy: { id: "asc" } });
    return { appId: input.appId, functionIds: textMap(app.functionIds), classIds: textMap(app.classIds), functions: rows.map(fromRow) };
  });
}

function textMap(value: unknown): Record<string, string> {
  if (typeof value !== "object" || value === null) return {};
  return Object.fromEntries(Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === "string"));
}
