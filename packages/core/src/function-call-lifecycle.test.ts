import fc from "fast-check";
import { expect, test } from "vitest";
import { type FunctionCallEvent, type FunctionCallState, transitionFunctionCall } from "./function-call-lifecycle.ts";

const events: readonly FunctionCallEvent[] = ["addInputs", "close", "cancel", "drain"];
const states: readonly FunctionCallState[] = ["open", "closed", "complete", "cancelling", "cancelled"];

test("only an open call takes inputs", () => {
  for (const state of states) expect(transitionFunctionCall(state, "addInputs")).toBe(state === "open" ? "open" : "illegal");
});

test("a cancelled call never completes, a completed one is never cancelled", () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...events), { maxLength: 20 }), (path) => {
      const seen: FunctionCallState[] = ["open"];
      for (const event of path) {
        const next = transitionFunctionCall(seen.at(-1) ?? "open", event);
        if (next !== "illegal") seen.push(next);
      }
      expect(seen.includes("complete") && (seen.includes("cancelling") || seen.includes("cancelled"))).toBe(false);
    }),
  );
});

test("cancel and close may be repeated", () => {
  for (const state of states) for (const event of ["close", "cancel"] as const) expect(transitionFunctionCall(state, event)).not.toBe("illegal");
});
