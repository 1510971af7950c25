import type { ModalClient } from "@squall/protocol/modal";
import { createEnvironment } from "@squall/services/environment/create";
import type { Environment } from "@squall/services/environment/environment";
import { getEnvironment } from "@squall/services/environment/get";
import { listEnvironments } from "@squall/services/environment/list";
import { type Procedures, procedure } from "../procedure.ts";

/** The newest builder that every supported client knows; clients refuse to run without one of their list. */
const imageBuilderVersion = "2025.06";

/** Named scopes of a workspace. */
export function environmentProcedures() {
  return {
    /** Asked by every run, with the empty name for the default one. It makes none, whatever its name says: a misspelt name must not. */
    environmentGetOrCreate: procedure({ resource: "environment", action: "read" }, async ({ deploymentName }, { ctx }) => {
      const { id, name, webSuffix } = await getEnvironment({ ctx, input: { name: deploymentName } });
      return { environmentId: id, metadata: { name, settings: { imageBuilderVersion, webhookSuffix: webSuffix } } };
    }),

    environmentList: procedure({ resource: "environment", action: "read" }, async (_request, { ctx }) => {
      return { items: (await listEnvironments({ ctx })).map(listItem) };
    }),

    environmentCreate: procedure({ resource: "environment", action: "write" }, async ({ name }, { ctx }) => {
      await createEnvironment({ ctx, input: { name } });
      return {};
    }),
  } satisfies Procedures<typeof ModalClient>;
}

function listItem({ id, name, isDefault, webSuffix, createdAtMs }: Environment) {
  return { environmentId: id, name, default: isDefault, webhookSuffix: webSuffix, createdAt: createdAtMs / 1000, imageBuilderVersion };
}
