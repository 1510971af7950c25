/** Apps whose callers stopped their heartbeats: ephemeral ones are stopped, detached ones go on alone. */
import { disconnectApp } from "@squall/services/app/disconnect";
import { listAppsWithCaller } from "@squall/services/app/list-with-caller";
import type { ServiceContext, ServiceDeps } from "@squall/services/context";
import type { Callers } from "../agents/callers.ts";
import { Blindness } from "./blindness.ts";
import type { Reconciler } from "./driver.ts";

export const callerLeaseMs = 66_000; // clients send every 15 s; the app ends 60 to 75 s after the last one
const everyMs = 3_000;

export interface ReapCallersOptions {
  readonly deps: ServiceDeps;
  readonly callers: Callers;
  /** An app has begun to stop. */
  readonly stopping: () => void;
  readonly leaseMs?: number;
}

export function reapCallers({ deps, callers, stopping, leaseMs = callerLeaseMs }: ReapCallersOptions): Reconciler {
  const blindness = new Blindness(deps.clock.monotonic(), everyMs);
  const activate = async (): Promise<number> => {
    const apps = await listAppsWithCaller({ deps }).catch((error: unknown) => {
      blindness.look(deps.clock.monotonic(), true);
      throw error;
    });
    const nowMs = deps.clock.monotonic();
    blindness.look(nowMs);
    callers.keepOnly(new Set(apps.map(({ appId }) => appId)));
    for (const { appId, workspace } of apps) {
      if (blindness.silentForMs(callers.lastHeardMs(appId, nowMs), nowMs) < leaseMs) continue;
      const ctx = systemContext(deps, workspace);
      const { isStopping } = await disconnectApp({ ctx, input: { appId, because: "lost", reason: "its caller went away: no heartbeat for a minute" } });
      deps.log.info({ appId, isStopping }, "the caller of an app was lost");
      if (isStopping) stopping();
    }
    return Math.min(everyMs, leaseMs / 4);
  };
  return { name: "reap-callers", activate };
}

export function systemContext(deps: ServiceDeps, workspace: ServiceContext["workspace"]): ServiceContext {
  return { actor: { kind: "system", name: "reconciler" }, workspace, requestId: "", idempotencyKey: undefined, clientVersion: undefined, deps };
}
