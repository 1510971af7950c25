/**
 * Life of one Input inside the dispatch engine.
 *
 * ```
 *            give, adopt            cancel
 *   queued ───────────────▶ running ───────▶ cancelling
 *     ▲  ▲                   │ │  │              │
 *     │  └────── lose ───────┘ │  └── accept ─┐  │ accept
 *     │ due                    │ fail         ▼  ▼
 *     └───────── delayed ◀─────┘            storing ──store──▶ done
 *                   └───────── accept ────────▲
 *   queued ─────────────────── accept ────────┘
 * ```
 * `accept` = its final outcome is chosen and on the way to the database, `store` = the database has it. From `storing` on nothing can change
 * the outcome: that is the promise that a result never changes.
 */
export type InputPhase = "queued" | "delayed" | "running" | "cancelling" | "storing" | "done";

export type InputEvent =
  /** Handed to a container, or found running there after a restart. */
  | "give"
  | "adopt"
  /** The attempt is over without an outcome: container lost, or the delivery never arrived. */
  | "lose"
  /** The user's code failed and its retry policy has a try left. */
  | "fail"
  /** The retry's delay is over. */
  | "due"
  /** The caller cancelled while a container has it. */
  | "cancel"
  | "accept"
  | "store";

const table: Readonly<Record<InputPhase, Partial<Readonly<Record<InputEvent, InputPhase>>>>> = {
  queued: { give: "running", adopt: "running", accept: "storing" },
  delayed: { due: "queued", adopt: "running", accept: "storing" },
  running: { lose: "queued", fail: "delayed", cancel: "cancelling", accept: "storing" },
  cancelling: { accept: "storing" },
  storing: { store: "done" },
  done: {},
};

/** The next phase, or `illegal`: the caller has a bug or must refuse. */
export function transitionInput(phase: InputPhase, event: InputEvent): InputPhase | "illegal" {
  return table[phase][event] ?? "illegal";
}

/** Whether a container may be working on it. */
export function isHeldByContainer(phase: InputPhase): boolean {
  return phase === "running" || phase === "cancelling";
}
