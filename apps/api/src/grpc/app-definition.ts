import { ServiceError } from "@squall/core/errors";
import { type Id, isId } from "@squall/core/ids";
import { AppState, type ModalClient } from "@squall/protocol/modal";
import { createApp } from "@squall/services/app-definition/create";
import { getAppLayout } from "@squall/services/app-definition/layout";
import { listApps } from "@squall/services/app-definition/list";
import { publishApp } from "@squall/services/app-definition/publish";
import type { Deps } from "../deps.ts";
import { type Procedures, procedure } from "../procedure.ts";
import { appListItem } from "../wire/app.ts";
import { appLayoutMessage } from "../wire/function.ts";

const deployLater = "Deployments come with a later version of Squall: use `modal run` for now.";

/** What an app is made of; its life is in `app.ts`. */
export function appDefinitionProcedures({ publicUrl, clock }: Pick<Deps, "publicUrl" | "clock">) {
  return {
    appCreate: procedure({ resource: "app", action: "write" }, async ({ description, environmentName, appState, tags }, { ctx }) => {
      const appId = await createApp({ ctx, input: { description, environmentName, state: newState(appState), tags } });
      return { appId, appPageUrl: `${publicUrl}/apps/${appId}`, appLogsUrl: `${publicUrl}/apps/${appId}/logs` };
    }),

    appGetLayout: procedure({ resource: "app", action: "read" }, async ({ appId }, { ctx }) => {
      return { appLayout: appLayoutMessage(await getAppLayout({ ctx, input: { appId: appIdOf(appId) } })) };
    }),

    appPublish: procedure({ resource: "app", action: "write" }, async ({ appId, appState, functionIds, classIds, name }, { ctx }) => {
      if (name !== "" || appState === AppState.DEPLOYED) throw new ServiceError("unimplemented", deployLater);
      await publishApp({ ctx, input: { appId: appIdOf(appId), state: publishedState(appState), functionIds, classIds } });
      return { url: `${publicUrl}/apps/${appId}`, deployedAt: clock.now() / 1000 };
    }),

    appList: procedure({ resource: "app", action: "read" }, async ({ environmentName }, { ctx }) => {
      return { apps: (await listApps({ ctx, input: { environmentName } })).map(appListItem) };
    }),

    appGetByDeploymentName: procedure({ resource: "app", action: "read" }, async () => {
      throw new ServiceError("unimplemented", deployLater);
    }),
  } satisfies Procedures<typeof ModalClient>;
}

function newState(state: AppState): "initializing" | "ephemeral" | "detached" {
  switch (state) {
    case AppState.EPHEMERAL:
      return "ephemeral";
    case AppState.DETACHED:
      return "detached";
    case AppState.UNSPECIFIED:
    case AppState.INITIALIZING:
      return "initializing";
    default:
      throw new ServiceError("invalidArgument", `An app cannot be made in state ${state}.`);
  }
}

function publishedState(state: AppState): "ephemeral" | "detached" | undefined {
  if (state === AppState.EPHEMERAL) return "ephemeral";
  return state === AppState.DETACHED ? "detached" : undefined;
}

function appIdOf(text: string): Id<"app"> {
  if (!isId("app", text)) throw new ServiceError("invalidArgument", `${JSON.stringify(text.slice(0, 80))} is not the id of an app.`);
  return text;
}
