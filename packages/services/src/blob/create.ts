import { ServiceError } from "@squall/core/errors";
import { type Id, newId } from "@squall/core/ids";
import { authorize } from "../authorize.ts";
import type { ServiceContext } from "../context.ts";

/** 16 GiB: one file in one request. Larger data belongs in volumes. */
export const maxBlobBytes = 16 * 1024 ** 3;

export interface CreateBlobInput {
  readonly sizeBytes: number;
  readonly md5Base64: string;
  readonly sha256Base64: string;
}

/** Announces a blob; its bytes come by `storeBlob`. A blob that never gets them can be read by nobody. */
export async function createBlob({
  ctx,
  input,
}: {
  readonly ctx: ServiceContext<"db" | "clock" | "random">;
  readonly input: CreateBlobInput;
}): Promise<Id<"blob">> {
  authorize(ctx, "blob", "write");
  const { sizeBytes } = input;
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0) throw new ServiceError("invalidArgument", "The length of a blob is a whole number.");
  if (sizeBytes > maxBlobBytes) throw new ServiceError("invalidArgument", `A blob may have ${maxBlobBytes} bytes; this one has ${sizeBytes}.`);
  const md5 = hexOf(input.md5Base64, 16, "content_md5");
  const sha256 = hexOf(input.sha256Base64, 32, "content_sha256_base64");
  const id = newId("blob", ctx.deps);
  const row = {
    id,
    workspaceId: ctx.workspace.id,
    sizeBytes: BigInt(sizeBytes),
    md5,
    sha256,
    state: "pending",
    objectKey: `blob/${id}`,
    createdAtMs: BigInt(ctx.deps.clock.now()),
  };
  await ctx.deps.db.transaction(ctx.workspace.id, (tx) => tx.blob.create({ data: row }));
  return id;
}

function hexOf(base64: string, lengthBytes: number, name: string): string {
  const bytes = Buffer.from(base64, "base64");
  if (bytes.length !== lengthBytes) throw new ServiceError("invalidArgument", `${name} is not the base64 of ${lengthBytes} bytes.`);
  return bytes.toString("hex");
}
