/** Apps that began to stop: their calls end, their containers are killed, then their logs end. Goes on after a restart of the api. */
import type { Id } from "@squall/core/ids";
import { finishAppStop } from "@squall/services/app/finish-stop";
import { listStoppingApps } from "@squall/services/app/list-stopping";
import type { ServiceDeps } from "@squall/services/context";
import type { ClusterPort, DispatchPort } from "../agents/ports.ts";
import type { LogRelay } from "../relay/log-relay.ts";
import type { Reconciler } from "./driver.ts";
import { systemContext } from "./reap-callers.ts";

const containersGoneWithinMs = 5_000; // one that is not gone by then hangs on a worker that is away, and is stopped when that returns
const sweepEveryMs = 30_000;

export interface StopAppsOptions {
  readonly deps: ServiceDeps;
  readonly dispatch: Pick<DispatchPort, "cancelApp">;
  readonly cluster: Pick<ClusterPort, "stopApp">;
  readonly logs: Pick<LogRelay, "appEnded">;
}

export function stopApps({ deps, dispatch, cluster, logs }: StopAppsOptions): Reconciler {
  const underWay = new Set<Id<"app">>();
  const stopOne = async ({ appId, workspace, reason }: Awaited<ReturnType<typeof listStoppingApps>>[number]): Promise<void> => {
    const text = `The app was stopped: ${reason}.`;
    const gone = cluster.stopApp(appId, containersGoneWithinMs); // at once: nothing of the app may start while its calls are being ended
    await Promise.all([gone, dispatch.cancelApp(appId, text)]);
    await finishAppStop({ ctx: systemContext(deps, workspace), input: { appId } });
    logs.appEnded(appId);
  };
  const activate = async (): Promise<number> => {
    for (const app of await listStoppingApps({ deps })) {
      if (underWay.has(app.appId)) continue;
      underWay.add(app.appId);
      // Side by side: an app whose worker is away must not hold up another.
      void stopOne(app)
        .catch((error: unknown) => deps.log.error({ err: error, appId: app.appId }, "an app could not be stopped; tried again"))
        .finally(() => underWay.delete(app.appId));
    }
    return sweepEveryMs;
  };
  return { name: "stop-apps", activate };
}
