import type { AppState as State } from "@squall/core/app-lifecycle";
import { AppState } from "@squall/protocol/modal";
import type { AppSummary } from "@squall/services/app-definition/list";

const states = {
  initializing: AppState.INITIALIZING,
  ephemeral: AppState.EPHEMERAL,
  detached: AppState.DETACHED,
  detachedDisconnected: AppState.DETACHED_DISCONNECTED,
  deployed: AppState.DEPLOYED,
  stopping: AppState.STOPPING,
  stopped: AppState.STOPPED,
} satisfies Record<State, AppState>;

export function appListItem({ id, name = "", description, state, createdAtMs, stoppedAtMs, runningContainers }: AppSummary) {
  const stoppedAt = stoppedAtMs === undefined ? 0 : stoppedAtMs / 1000;
  return { appId: id, name, description, state: states[state], createdAt: createdAtMs / 1000, stoppedAt, nRunningTasks: runningContainers };
}
