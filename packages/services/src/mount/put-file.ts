import { createHash } from "node:crypto";
import { ServiceError } from "@squall/core/errors";
import { authorize } from "../authorize.ts";
import type { ServiceContext } from "../context.ts";
import { isSha256, mountFileKey } from "./internal.ts";

export interface PutMountFileInput {
  readonly sha256: string;
  readonly data: Uint8Array;
}

/** Stores a file's bytes after checking that they are what the hash says. Safe to repeat. */
export async function putMountFile({ ctx, input }: { ctx: ServiceContext<"db" | "objects" | "clock">; input: PutMountFileInput }): Promise<void> {
  authorize(ctx, "mount", "write");
  const { sha256, data } = input;
  if (!isSha256(sha256)) throw new ServiceError("invalidArgument", "A file's hash must be 64 hexadecimal digits.");
  if (createHash("sha256").update(data).digest("hex") !== sha256)
    throw new ServiceError("invalidArgument", `The file's bytes do not have the hash ${sha256}: it changed while it was uploaded. Run again.`);
  const { db, objects, clock } = ctx.deps;
  const objectKey = mountFileKey(ctx.workspace.id, sha256);
  await objects.put(objectKey, data);
  await db.transaction(ctx.workspace.id, (tx) =>
    tx.mountFile.createMany({
      data: [{ workspaceId: ctx.workspace.id, sha256, sizeBytes: BigInt(data.byteLength), objectKey, createdAtMs: BigInt(clock.now()) }],
      skipDuplicates: true,
    }),
  );
}
