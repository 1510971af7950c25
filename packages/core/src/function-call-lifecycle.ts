/**
 * Life of one FunctionCall.
 *
 * ```
 *   open ──close──▶ closed ──drain──▶ complete
 *    │                 │
 *    └─────cancel──────┴──▶ cancelling ──drain──▶ cancelled
 * ```
 * `open` takes inputs (a map that is still being fed), `closed` has all of them (a unary call from the start), `drain` = every input has a
 * stored output. A map whose client never says that it is finished stays open; that costs nothing, and its outputs are complete all the same.
 */
export type FunctionCallState = "open" | "closed" | "complete" | "cancelling" | "cancelled";

export type FunctionCallEvent = "addInputs" | "close" | "cancel" | "drain";

const table: Readonly<Record<FunctionCallState, Partial<Readonly<Record<FunctionCallEvent, FunctionCallState>>>>> = {
  open: { addInputs: "open", close: "closed", cancel: "cancelling" },
  closed: { close: "closed", cancel: "cancelling", drain: "complete" },
  complete: { close: "complete", cancel: "complete" },
  cancelling: { close: "cancelling", cancel: "cancelling", drain: "cancelled" },
  cancelled: { close: "cancelled", cancel: "cancelled" },
};

/** The next state, or `illegal`: an input added to a call that is closed, or a drain of one that still takes inputs. */
export function transitionFunctionCall(state: FunctionCallState, event: FunctionCallEvent): FunctionCallState | "illegal" {
  return table[state][event] ?? "illegal";
}
