/**
 * Life of one App.
 *
 * ```
 *   initializing ──deploy──▶ deployed ⟲ deploy, disconnect
 *        │                      │
 *        │ disconnect, lose     │ stop
 *        ▼                      ▼
 *     stopping ◀─── stop ── (every live state)            stopping ──ended──▶ stopped (final)
 *        ▲
 *        │ disconnect, lose
 *    ephemeral             detached ──disconnect, lose──▶ detachedDisconnected ⟲ disconnect, lose
 * ```
 * `disconnect` = the caller said goodbye; `lose` = its heartbeats stopped. Only apps that live as long as their caller end with it.
 * `stopping` = its calls are being ended and its containers stopped; a restart of the api goes on with it.
 */
export const appStates = ["initializing", "ephemeral", "detached", "detachedDisconnected", "deployed", "stopping", "stopped"] as const;

export type AppState = (typeof appStates)[number];
export type AppEvent = "deploy" | "disconnect" | "lose" | "stop" | "ended";

const table: Readonly<Record<AppState, Partial<Readonly<Record<AppEvent, AppState>>>>> = {
  initializing: { deploy: "deployed", disconnect: "stopping", lose: "stopping", stop: "stopping" },
  ephemeral: { disconnect: "stopping", lose: "stopping", stop: "stopping" },
  detached: { disconnect: "detachedDisconnected", lose: "detachedDisconnected", stop: "stopping" },
  detachedDisconnected: { disconnect: "detachedDisconnected", lose: "detachedDisconnected", stop: "stopping" },
  deployed: { deploy: "deployed", disconnect: "deployed", stop: "stopping" },
  stopping: { disconnect: "stopping", lose: "stopping", stop: "stopping", ended: "stopped" },
  stopped: { disconnect: "stopped", lose: "stopped", stop: "stopped", ended: "stopped" },
};

/** The next state, or `illegal`. Stopping what is stopped is no error: callers repeat themselves. */
export function transitionApp(state: AppState, event: AppEvent): AppState | "illegal" {
  return table[state][event] ?? "illegal";
}

/** Whether containers of it may start. */
export function mayRunContainers(state: AppState): boolean {
  return state !== "stopping" && state !== "stopped";
}

/** Whether it ends, or changes, when its caller's heartbeats stop. */
export function needsCaller(state: AppState): boolean {
  return state === "initializing" || state === "ephemeral" || state === "detached";
}

/** `text` from the database as a state; throws when it is none. */
export function parseAppState(text: string): AppState {
  const state = appStates.find((candidate) => candidate === text);
  if (state === undefined) throw new TypeError(`not a state of an app: ${JSON.stringify(text)}`);
  return state;
}
