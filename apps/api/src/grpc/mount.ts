import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { ServiceError } from "@squall/core/errors";
import { isId } from "@squall/core/ids";
import { DeploymentNamespace, type ModalClient } from "@squall/protocol/modal";
import { findMissingFiles } from "@squall/services/mount/check-files";
import { createMount } from "@squall/services/mount/create";
import { getClientMount } from "@squall/services/mount/get-client-mount";
import { putMountBlob } from "@squall/services/mount/put-blob";
import { putMountFile } from "@squall/services/mount/put-file";
import type { Deps } from "../deps.ts";
import { type Procedures, procedure } from "../procedure.ts";

/** The caller's own files on their way into containers, by content. */
export function mountProcedures({ clock }: Pick<Deps, "clock">) {
  return {
    mountBatchedCheckExistence: procedure({ resource: "mount", action: "read" }, async ({ sha256HexHashes }, { ctx }) => {
      const missing = await findMissingFiles({ ctx, input: { sha256: sha256HexHashes } });
      return { missingSha256HexHashes: [...missing], checkedAt: timestampFromMs(clock.now()) };
    }),

    mountPutFile: procedure({ resource: "mount", action: "write" }, async ({ sha256Hex, dataOneof }, { ctx }) => {
      switch (dataOneof.case) {
        case "data":
          await putMountFile({ ctx, input: { sha256: sha256Hex, data: dataOneof.value } });
          return { exists: true };
        case "dataBlobId":
          if (!isId("blob", dataOneof.value))
            throw new ServiceError("invalidArgument", `${JSON.stringify(dataOneof.value.slice(0, 80))} is not the id of a blob.`);
          await putMountBlob({ ctx, input: { sha256: sha256Hex, blobId: dataOneof.value } });
          return { exists: true };
        case undefined:
          return { exists: (await findMissingFiles({ ctx, input: { sha256: [sha256Hex] } })).length === 0 };
        default:
          return dataOneof satisfies never;
      }
    }),

    mountGetOrCreate: procedure({ resource: "mount", action: "write" }, async (request, { ctx }) => {
      const isGlobal = request.namespace === DeploymentNamespace.GLOBAL || request.deploymentName !== "";
      const files = request.files.map(({ filename, sha256Hex, mode }) => ({ path: filename, sha256: sha256Hex, mode }));
      const mount = isGlobal ? await getClientMount({ ctx, input: { name: request.deploymentName } }) : await createMount({ ctx, input: { files } });
      return { mountId: mount.id, handleMetadata: { contentChecksumSha256Hex: mount.checksum } };
    }),
  } satisfies Procedures<typeof ModalClient>;
}
