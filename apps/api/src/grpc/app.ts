/** The life of apps and of their containers; what an app is made of is in `app-definition.ts`. */
import { ServiceError } from "@squall/core/errors";
import { type Id, type IdKind, isId } from "@squall/core/ids";
import { AppDisconnectReason, AppStopSource, type ModalClient } from "@squall/protocol/modal";
import { disconnectApp } from "@squall/services/app/disconnect";
import { heartbeatApp } from "@squall/services/app/heartbeat";
import { stopApp } from "@squall/services/app/stop";
import { listContainers } from "@squall/services/container/list";
import type { RunningCluster } from "../agents/start-cluster.ts";
import type { Deps } from "../deps.ts";
import { type Procedures, procedure } from "../procedure.ts";

export function appProcedures({ clock, cluster, lifecycle }: Pick<Deps, "clock" | "cluster"> & { lifecycle: Pick<RunningCluster, "callers" | "stopApps"> }) {
  return {
    appHeartbeat: procedure({ resource: "app", action: "write" }, async (request, { ctx }) => {
      const appId = idOf("app", request.appId);
      await heartbeatApp({ ctx, input: { appId } });
      lifecycle.callers.heard(appId, clock.monotonic());
      return {};
    }),

    appClientDisconnect: procedure({ resource: "app", action: "write" }, async ({ appId, reason }, { ctx }) => {
      const { isStopping } = await disconnectApp({ ctx, input: { appId: idOf("app", appId), because: "goodbye", reason: goodbye(reason) } });
      if (isStopping) lifecycle.stopApps();
      return {};
    }),

    appStop: procedure({ resource: "app", action: "write" }, async ({ appId, source }, { ctx }) => {
      await stopApp({
        ctx,
        input: { appId: idOf("app", appId), reason: source === AppStopSource.CLI ? "stopped by `modal app stop`" : "stopped by its owner" },
      });
      lifecycle.stopApps();
      return {};
    }),

    taskList: procedure({ resource: "container", action: "read" }, async ({ appId, environmentName }, { ctx }) => {
      const containers = await listContainers({ ctx, input: { appId: appId === "" ? undefined : idOf("app", appId), environmentName } });
      const tasks = containers.map((container) => ({
        taskId: container.containerId,
        appId: container.appId,
        appDescription: container.appDescription,
        enqueuedAt: container.requestedAtMs / 1000,
        startedAt: (container.startedAtMs ?? 0) / 1000,
      }));
      return { tasks };
    }),

    containerStop: procedure({ resource: "container", action: "write" }, async ({ taskId, graceful }, { ctx }) => {
      await cluster.stopContainer(ctx, idOf("container", taskId), graceful);
      return {};
    }),
  } satisfies Procedures<typeof ModalClient>;
}

/** The end of the sentence "The app was stopped: …". */
function goodbye(reason: AppDisconnectReason): string {
  switch (reason) {
    case AppDisconnectReason.ENTRYPOINT_COMPLETED:
      return "its entrypoint completed";
    case AppDisconnectReason.KEYBOARD_INTERRUPT:
      return "it was interrupted from the keyboard";
    case AppDisconnectReason.LOCAL_EXCEPTION:
      return "its entrypoint raised an exception";
    case AppDisconnectReason.REMOTE_EXCEPTION:
      return "one of its functions raised an exception";
    case AppDisconnectReason.DEPLOYMENT_EXCEPTION:
      return "its deployment failed";
    default:
      return "its caller disconnected";
  }
}

function idOf<Kind extends IdKind>(kind: Kind, text: string): Id<Kind> {
  if (!isId(kind, text)) throw new ServiceError("invalidArgument", `${JSON.stringify(text.slice(0, 80))} is not an id of this kind: ${kind}.`);
  return text;
}
