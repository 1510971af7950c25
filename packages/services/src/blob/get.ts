import { ServiceError } from "@squall/core/errors";
import { isId } from "@squall/core/ids";
import { authorize } from "../authorize.ts";
import type { ServiceContext } from "../context.ts";
import { type BlobRecord, findBlob } from "./find.ts";

/** A complete blob of the caller's workspace; `notFound` otherwise. */
export async function getBlob({ ctx, blobId }: { readonly ctx: ServiceContext<"db">; readonly blobId: string }): Promise<BlobRecord> {
  authorize(ctx, "blob", "read");
  const blob = isId("blob", blobId) ? await findBlob({ deps: ctx.deps, workspaceId: ctx.workspace.id, blobId }) : undefined;
  if (blob?.state !== "complete") throw new ServiceError("notFound", `Blob ${blobId} not found.`);
  return blob;
}
