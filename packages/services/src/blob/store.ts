import { createHash } from "node:crypto";
import { ServiceError } from "@squall/core/errors";
import type { ServiceDeps } from "../context.ts";
import type { BlobRecord } from "./find.ts";

export interface StoreBlobArguments {
  readonly deps: Pick<ServiceDeps, "db" | "objects">;
  readonly blob: BlobRecord;
  readonly source: AsyncIterable<Uint8Array>;
}

/**
 * Stores the bytes of an announced blob; the caller was admitted by a signed URL. They are durable, and are what was announced, when it resolves;
 * otherwise it throws `invalidArgument` and the blob stays as it was. The same bytes may come again.
 */
export async function storeBlob({ deps, blob, source }: StoreBlobArguments): Promise<void> {
  await deps.objects.put(blob.objectKey, checked(source, blob));
  await deps.db.transaction(blob.workspaceId, (tx) =>
    tx.blob.updateMany({ where: { id: blob.id, workspaceId: blob.workspaceId }, data: { state: "complete" } }),
  );
}

async function* checked(source: AsyncIterable<Uint8Array>, { sizeBytes, md5Hex, sha256Hex }: BlobRecord): AsyncIterable<Uint8Array> {
  const md5 = createHash("md5");
  const sha256 = createHash("sha256");
  let seenBytes = 0;
  for await (const chunk of source) {
    seenBytes += chunk.length;
    if (seenBytes > sizeBytes) throw new ServiceError("invalidArgument", `The blob was announced with ${sizeBytes} bytes; more came.`);
    md5.update(chunk);
    sha256.update(chunk);
    yield chunk;
  }
  if (seenBytes !== sizeBytes) throw new ServiceError("invalidArgument", `The blob was announced with ${sizeBytes} bytes; ${seenBytes} came.`);
  // The sentence is one that the Python client looks for, to tell its user that the file changed under it.
  if (md5.digest("hex") !== md5Hex) throw new ServiceError("invalidArgument", "The Content-MD5 you specified did not match what we received.");
  if (sha256.digest("hex") !== sha256Hex) throw new ServiceError("invalidArgument", "The bytes of the blob do not have the announced sha256.");
}
