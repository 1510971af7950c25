import { ServiceError } from "@squall/core/errors";
import { ObjectCreationType as Creation, type ModalClient, type SecretGetOrCreateRequest } from "@squall/protocol/modal";
import type { ServiceContext } from "@squall/services/context";
import { deleteSecret } from "@squall/services/secret/delete";
import { getSecret } from "@squall/services/secret/get";
import { createAppSecret, createSecret, lookUpSecret } from "@squall/services/secret/get-or-create";
import { listSecrets } from "@squall/services/secret/list";
import type { Secret } from "@squall/services/secret/secret";
import { updateSecret } from "@squall/services/secret/update";
import { type Procedures, procedure } from "../procedure.ts";
import { secretListItem, secretMetadata } from "../wire/secret.ts";

const defaultPage = 100;

/** Secrets: everything but their values, which no RPC answers. */
export function secretProcedures() {
  return {
    /** Looking up needs to read only; the verbs of the other modes ask for more themselves. */
    secretGetOrCreate: procedure({ resource: "secret", action: "read" }, async (request, { ctx }) => {
      const secret = await getOrCreate(ctx, request);
      return { secretId: secret.id, metadata: secretMetadata(secret) };
    }),

    secretList: procedure({ resource: "secret", action: "read" }, async ({ environmentName, pagination }, { ctx }) => {
      const createdBeforeMs = pagination?.createdBefore ? Math.ceil(pagination.createdBefore * 1000) : undefined;
      const page = await listSecrets({ ctx, input: { environmentName, createdBeforeMs, maxItems: pagination?.maxObjects || defaultPage } });
      return { environmentName: page.environmentName, items: page.secrets.map(secretListItem) };
    }),

    secretGetInfo: procedure({ resource: "secret", action: "read" }, async ({ secretId }, { ctx }) => {
      return { metadata: secretMetadata(await getSecret({ ctx, input: { secretId } })) };
    }),

    secretUpdate: procedure({ resource: "secret", action: "write" }, async ({ secretId, updates }, { ctx }) => {
      await updateSecret({ ctx, input: { secretId, changes: updates.map(({ key, value }) => ({ key, value })) } });
      return {};
    }),

    secretDelete: procedure({ resource: "secret", action: "write" }, async ({ secretId }, { ctx }) => {
      await deleteSecret({ ctx, input: { secretId } });
      return {};
    }),
  } satisfies Procedures<typeof ModalClient>;
}

async function getOrCreate(ctx: ServiceContext, request: SecretGetOrCreateRequest): Promise<Secret> {
  const { deploymentName: name, environmentName, requiredKeys, envDict: values, appId } = request;
  const named = { name, environmentName, values };
  switch (request.objectCreationType) {
    case Creation.UNSPECIFIED:
      return lookUpSecret({ ctx, input: { name, environmentName, requiredKeys } });
    case Creation.CREATE_IF_MISSING:
      return createSecret({ ctx, input: { ...named, mode: "ifMissing" } });
    case Creation.CREATE_FAIL_IF_EXISTS:
      return createSecret({ ctx, input: { ...named, mode: "failIfExists" } });
    case Creation.CREATE_OVERWRITE_IF_EXISTS:
      return createSecret({ ctx, input: { ...named, mode: "overwrite" } });
    case Creation.ANONYMOUS_OWNED_BY_APP:
      return createAppSecret({ ctx, input: { appId, values } });
    case Creation.EPHEMERAL:
      throw new ServiceError("unimplemented", "Ephemeral secrets come later; Secret.from_dict makes one that lives with its app.");
    default:
      throw new ServiceError("invalidArgument", `Unknown way ${request.objectCreationType} to make a secret.`);
  }
}
