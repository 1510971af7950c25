/**
 * Life of one Worker (machine).
 *
 * ```
 *                 lose
 *   online ────────────────▶ lost
 *    │  ▲ ◀────── connect ─────┘
 *    │  └── uncordon ── cordoned        lose, connect: stay cordoned or draining (nothing is placed there anyway)
 *    ├── cordon ──────────▶ │  ▲
 *    │                drain │  │ cordon
 *    └── drain ───────────▶ draining ── uncordon ──▶ online
 * ```
 * `lost` = silent for longer than its lease; `cordoned` = takes no new containers; `draining` = its containers are asked to stop too.
 */
export const workerStates = ["online", "lost", "cordoned", "draining"] as const;

export type WorkerState = (typeof workerStates)[number];
export type WorkerEvent = "connect" | "lose" | "cordon" | "uncordon" | "drain";

const table: Readonly<Record<WorkerState, Partial<Readonly<Record<WorkerEvent, WorkerState>>>>> = {
  online: { connect: "online", lose: "lost", cordon: "cordoned", drain: "draining" },
  lost: { connect: "online", cordon: "cordoned", drain: "draining" },
  cordoned: { connect: "cordoned", lose: "cordoned", uncordon: "online", drain: "draining" },
  draining: { connect: "draining", lose: "draining", cordon: "cordoned", uncordon: "online" },
};

/** The next state, or `illegal`. */
export function transitionWorker(state: WorkerState, event: WorkerEvent): WorkerState | "illegal" {
  return table[state][event] ?? "illegal";
}

/** `text` from the database as a state; throws when it is none. */
export function parseWorkerState(text: string): WorkerState {
  const state = workerStates.find((candidate) => candidate === text);
  if (state === undefined) throw new TypeError(`not a state of a worker: ${JSON.stringify(text)}`);
  return state;
}
