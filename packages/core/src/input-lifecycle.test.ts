import fc from "fast-check";
import { expect, test } from "vitest";
import { type InputEvent, type InputPhase, isHeldByContainer, transitionInput } from "./input-lifecycle.ts";

const events: readonly InputEvent[] = ["give", "adopt", "lose", "fail", "due", "cancel", "accept", "store"];
const walk = (path: readonly InputEvent[]): InputPhase[] => {
  const phases: InputPhase[] = ["queued"];
  for (const event of path) {
    const next = transitionInput(phases.at(-1) ?? "queued", event);
    if (next !== "illegal") phases.push(next);
  }
  return phases;
};

test("an outcome that was chosen never goes back to work", () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...events), { maxLength: 40 }), (path) => {
      const phases = walk(path);
      const chosen = phases.indexOf("storing");
      if (chosen === -1) return;
      expect(phases.slice(chosen)).toEqual(phases.length - chosen === 1 ? ["storing"] : ["storing", "done"]);
    }),
  );
});

test("done is final", () => {
  for (const event of events) expect(transitionInput("done", event)).toBe("illegal");
});

test("every phase but done can still reach done: nothing gets stuck", () => {
  for (const phase of ["queued", "delayed", "running", "cancelling"] as const) expect(transitionInput(phase, "accept")).toBe("storing");
  expect(transitionInput("storing", "store")).toBe("done");
});

test("an input that a container holds is not given to a second one", () => {
  for (const phase of ["running", "cancelling"] as const) {
    expect(isHeldByContainer(phase)).toBe(true);
    expect(transitionInput(phase, "give")).toBe("illegal");
  }
});

test("a cancelled input is not run again", () => {
  expect(transitionInput("cancelling", "lose")).toBe("illegal");
  expect(transitionInput("cancelling", "fail")).toBe("illegal");
});
