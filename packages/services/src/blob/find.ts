import { createHash } from "node:crypto";
import type { Id } from "@squall/core/ids";
import type { ServiceDeps } from "../context.ts";

/** A blob as its row says; hashes are what the uploader announced and what stored bytes were checked against. */
export interface BlobRecord {
  readonly id: Id<"blob">;
  readonly workspaceId: Id<"workspace">;
  readonly state: "pending" | "complete";
  readonly sizeBytes: number;
  readonly md5Hex: string;
  readonly sha256Hex: string;
  readonly objectKey: string;
  /** What S3 would call an upload in one part: md5 of the md5, `-1`. */
  readonly multipartEtag: string;
}

/** The blob of this id in this workspace, or undefined. For doors whose caller has been checked, and for verbs. */
export async function findBlob({
  deps,
  workspaceId,
  blobId,
}: {
  readonly deps: Pick<ServiceDeps, "db">;
  readonly workspaceId: Id<"workspace">;
  readonly blobId: Id<"blob">;
}): Promise<BlobRecord | undefined> {
  const row = await deps.db.transaction(workspaceId, (tx) => tx.blob.findFirst({ where: { id: blobId, workspaceId } }));
  if (!row) return undefined;
  return {
    id: blobId,
    workspaceId,
    state: row.state === "complete" ? "complete" : "pending",
    sizeBytes: Number(row.sizeBytes),
    md5Hex: row.md5,
    sha256Hex: row.sha256,
    objectKey: row.objectKey,
    multipartEtag: `${createHash("md5").update(Buffer.from(row.md5, "hex")).digest("hex")}-1`,
  };
}
