import type { Id } from "@squall/core/ids";
import type { ModalClient } from "@squall/protocol/modal";
import { createBlob } from "@squall/services/blob/create";
import { getBlob } from "@squall/services/blob/get";
import type { Deps } from "../deps.ts";
import { type BlobUrls, baseUrlOf, isSinglePutHost } from "../doors/blob-urls.ts";
import { asPeer } from "../peer.ts";
import { type Call, type Procedures, procedure } from "../procedure.ts";

export function blobProcedures({ clock, publicUrl, blobUrls }: Pick<Deps, "clock" | "publicUrl"> & { readonly blobUrls: BlobUrls }) {
  const urlOf = (call: Call, grant: { readonly use: "read" | "write"; readonly blobId: Id<"blob"> }) => {
    const peer = asPeer(call.info.peer);
    const baseUrl = peer.kind === "container" ? peer.blobBaseUrl : baseUrlOf(call.info.headers[":authority"], publicUrl);
    return { baseUrl, url: baseUrl + blobUrls.sign({ ...grant, workspaceId: call.ctx.workspace.id }, clock.now()) };
  };
  return {
    blobCreate: procedure({ resource: "blob", action: "write" }, async (request, call) => {
      const { contentLength, contentMd5, contentSha256Base64 } = request;
      const blobId = await createBlob({ ctx: call.ctx, input: { sizeBytes: Number(contentLength), md5Base64: contentMd5, sha256Base64: contentSha256Base64 } });
      const { baseUrl, url } = urlOf(call, { use: "write", blobId });
      // JavaScript and Go read the single fields, Python the lists; to hosts that Python refuses it uploads in parts, where one is enough.
      const part = { partLength: contentLength, uploadUrls: [url], completionUrl: url };
      return {
        blobId,
        uploadTypeOneof: { case: "uploadUrl" as const, value: url },
        blobIds: [blobId],
        uploadTypesOneof: isSinglePutHost(baseUrl)
          ? { case: "uploadUrls" as const, value: { items: [url] } }
          : { case: "multiparts" as const, value: { items: [part] } },
      };
    }),
    blobGet: procedure({ resource: "blob", action: "read" }, async (request, call) => {
      const blob = await getBlob({ ctx: call.ctx, blobId: request.blobId });
      return { downloadUrl: urlOf(call, { use: "read", blobId: blob.id }).url };
    }),
  } satisfies Procedures<typeof ModalClient>;
}
