import fc from "fast-check";
import { expect, test } from "vitest";
import { type ContainerEvent, type ContainerState, containerStates, transitionContainer } from "./container-lifecycle.ts";

const events: readonly ContainerEvent[] = ["prepare", "start", "ready", "stop", "exit"];

test("reports in any order and number never move a container back", () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...events), { maxLength: 30 }), (path) => {
      let state: ContainerState = "assigned";
      for (const event of path) {
        const next = transitionContainer(state, event);
        if (next === "illegal") continue;
        expect(containerStates.indexOf(next)).toBeGreaterThan(containerStates.indexOf(state));
        state = next;
      }
    }),
  );
});

test("every live state can end, and exited is final", () => {
  for (const state of containerStates.filter((candidate) => candidate !== "exited")) expect(transitionContainer(state, "exit")).toBe("exited");
  for (const event of events) expect(transitionContainer("exited", event)).toBe("illegal");
});
