import { ServiceError } from "@squall/core/errors";
import type { Id } from "@squall/core/ids";
import { authorize } from "../authorize.ts";
import type { ServiceContext } from "../context.ts";
import { fromRow, type StoredImage } from "./stored-image.ts";

/** The image of this id in the caller's workspace, or `notFound`. */
export async function getImage({ ctx, input }: { ctx: ServiceContext<"db">; input: { readonly imageId: Id<"image"> } }): Promise<StoredImage> {
  authorize(ctx, "image", "read");
  const row = await ctx.deps.db.transaction(ctx.workspace.id, (tx) => tx.image.findFirst({ where: { id: input.imageId, workspaceId: ctx.workspace.id } }));
  if (!row) throw new ServiceError("notFound", `Image ${input.imageId} does not exist in workspace ${ctx.workspace.name}.`);
  return fromRow(row);
}
