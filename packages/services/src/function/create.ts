import { ServiceError } from "@squall/core/errors";
import { type Id, newId } from "@squall/core/ids";
import type { Transaction } from "@squall/db/database";
import { requireLiveApp } from "../app-definition/internal.ts";
import { authorize } from "../authorize.ts";
import type { ServiceContext } from "../context.ts";
import { checkTag } from "./internal.ts";
import { type FunctionColumns, fromRow, type StoredFunction, toRow } from "./stored-function.ts";

export interface CreateFunctionInput {
  readonly appId: Id<"app">;
  readonly tag: string;
  /** modal.client.Function as the client sent it. */
  readonly definition: Uint8Array;
  readonly columns: FunctionColumns;
}

/** Completes a function's definition, or makes the function at once. Its image, mounts and secrets must be this workspace's. */
export async function createFunction({ ctx, input }: { ctx: ServiceContext<"db" | "clock" | "random">; input: CreateFunctionInput }): Promise<StoredFunction> {
  authorize(ctx, "function", "write");
  checkTag(input.tag);
  const { db, clock } = ctx.deps;
  return db.transaction(ctx.workspace.id, async (tx) => {
    const app = await requireLiveApp(tx, ctx, input.appId);
    await requireDependencies(tx, ctx, input.columns);
    const changing = { ...toRow(input.columns), state: "created", definition: Buffer.from(input.definition), clientVersion: ctx.clientVersion ?? "" };
    const row = await tx.function.upsert({
      where: { appId_tag: { appId: app.id, tag: input.tag } },
      update: changing,
      create: {
        ...changing,
        id: newId("function", ctx.deps),
        workspaceId: ctx.workspace.id,
        environmentId: app.environmentId,
        appId: app.id,
        tag: input.tag,
        definitionId: newId("definition", ctx.deps),
        createdAtMs: BigInt(clock.now()),
      },
    });
    return fromRow(row);
  });
}

async function requireDependencies(tx: Transaction, ctx: ServiceContext<never>, { imageId, mountIds, secretIds }: FunctionColumns): Promise<void> {
  const workspaceId = ctx.workspace.id;
  const images = imageId === null ? [] : await tx.image.findMany({ where: { workspaceId, id: imageId }, select: { id: true } });
  const mounts = await tx.mount.findMany({ where: { workspaceId, id: { in: [...mountIds] } }, select: { id: true } });
  const secrets = await tx.secret.findMany({ where: { workspaceId, id: { in: [...secretIds] }, deletedAtMs: null }, select: { id: true } });
  const found = new Set([...images, ...mounts, ...secrets].map(({ id }) => id));
  for (const id of [...(imageId === null ? [] : [imageId]), ...mountIds, ...secretIds]) {
    if (!found.has(id)) throw new ServiceError("notFound", `Object ${id}, which this function needs, does not exist in this workspace.`);
  }
}
