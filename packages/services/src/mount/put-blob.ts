import { ServiceError } from "@squall/core/errors";
import type { Id } from "@squall/core/ids";
import { authorize } from "../authorize.ts";
import { findBlob } from "../blob/find.ts";
import type { ServiceContext } from "../context.ts";
import { isSha256, mountFileKey } from "./internal.ts";

/** Makes a file that was uploaded as a blob a mounted file. The blob's hash was checked when it was stored. Safe to repeat. */
export async function putMountBlob({
  ctx,
  input,
}: {
  ctx: ServiceContext<"db" | "objects" | "clock">;
  input: { readonly sha256: string; readonly blobId: Id<"blob"> };
}): Promise<void> {
  authorize(ctx, "mount", "write");
  const { sha256, blobId } = input;
  if (!isSha256(sha256)) throw new ServiceError("invalidArgument", "A file's hash must be 64 hexadecimal digits.");
  const { db, objects, clock } = ctx.deps;
  const blob = await findBlob({ deps: { db }, workspaceId: ctx.workspace.id, blobId });
  if (blob?.state !== "complete") throw new ServiceError("notFound", `Blob ${blobId} has not been uploaded.`);
  if (blob.sha256Hex !== sha256) throw new ServiceError("invalidArgument", `Blob ${blobId} does not have the hash ${sha256}.`);
  const objectKey = mountFileKey(ctx.workspace.id, sha256);
  await objects.put(objectKey, objects.get(blob.objectKey));
  await db.transaction(ctx.workspace.id, (tx) =>
    tx.mountFile.createMany({
      data: [{ workspaceId: ctx.workspace.id, sha256, sizeBytes: BigInt(blob.sizeBytes), objectKey, createdAtMs: BigInt(clock.now()) }],
      skipDuplicates: true,
    }),
  );
}
