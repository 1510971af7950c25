import { type Id, newId } from "@squall/core/ids";
import { requireLiveApp } from "../app-definition/internal.ts";
import { authorize } from "../authorize.ts";
import type { ServiceContext } from "../context.ts";
import { checkTag } from "./internal.ts";
import { type FunctionColumns, fromRow, type StoredFunction, toRow } from "./stored-function.ts";

export interface PrecreateFunctionInput {
  readonly appId: Id<"app">;
  readonly tag: string;
  /** The parts of the definition that are known before the function's dependencies are: enough for a handle. */
  readonly definition: Uint8Array;
  readonly columns: FunctionColumns;
}

/** Gives a function its id before its definition is complete, so that others can hold it. The same tag of the same app keeps its id. */
export async function precreateFunction({
  ctx,
  input,
}: {
  ctx: ServiceContext<"db" | "clock" | "random">;
  input: PrecreateFunctionInput;
}): Promise<StoredFunction> {
  authorize(ctx, "function", "write");
  checkTag(input.tag);
  const { db, clock } = ctx.deps;
  return db.transaction(ctx.workspace.id, async (tx) => {
    const app = await requireLiveApp(tx, ctx, input.appId);
    const row = await tx.function.upsert({
      where: { appId_tag: { appId: app.id, tag: input.tag } },
      update: {},
      create: {
        ...toRow(input.columns),
        id: newId("function", ctx.deps),
        workspaceId: ctx.workspace.id,
        environmentId: app.environmentId,
        appId: app.id,
        tag: input.tag,
        state: "precreated",
        definition: Buffer.from(input.definition),
        definitionId: newId("definition", ctx.deps),
        clientVersion: ctx.clientVersion ?? "",
        createdAtMs: BigInt(clock.now()),
      },
    });
    return fromRow(row);
  });
}
