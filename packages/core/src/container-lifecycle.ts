/**
 * Life of one Container as the control plane sees it. Reports may skip states (a start can be faster than its reports) but never go back.
 *
 * ```
 *   assigned ──prepare──▶ preparing ──start──▶ starting ──ready──▶ ready
 *      │                      │                   │                 │
 *      │         stop (from each of them)         ▼                 │
 *      └──────────────────────────────────▶ stopping ◀──────────────┘
 *
 *   exit, from every state: ──▶ exited (final)
 * ```
 * `assigned` = a row names its worker; `preparing` = the worker's hooks run; `starting` = its process runs; `ready` = it asked for inputs.
 */
export const containerStates = ["assigned", "preparing", "starting", "ready", "stopping", "exited"] as const;

export type ContainerState = (typeof containerStates)[number];
export type ContainerEvent = "prepare" | "start" | "ready" | "stop" | "exit";

const targets: Readonly<Record<ContainerEvent, ContainerState>> = {
  prepare: "preparing",
  start: "starting",
  ready: "ready",
  stop: "stopping",
  exit: "exited",
};

/** The next state, or `illegal` for an event that would go back or repeat: the caller ignores it (a late or repeated report). */
export function transitionContainer(state: ContainerState, event: ContainerEvent): ContainerState | "illegal" {
  const next = targets[event];
  return containerStates.indexOf(next) > containerStates.indexOf(state) ? next : "illegal";
}

/** Between the decision to start it and its first request for inputs: a machine carries few of these at a time. */
export function isBeforeFirstInput(state: ContainerState): boolean {
  return state === "assigned" || state === "preparing" || state === "starting";
}

/** `text` from the database as a state; throws when it is none. */
export function parseContainerState(text: string): ContainerState {
  const state = containerStates.find((candidate) => candidate === text);
  if (state === undefined) throw new TypeError(`not a state of a container: ${JSON.stringify(text)}`);
  return state;
}
