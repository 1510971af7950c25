import fc from "fast-check";
import { expect, test } from "vitest";
import { type AppEvent, type AppState, appStates, mayRunContainers, transitionApp } from "./app-lifecycle.ts";

const events: readonly AppEvent[] = ["deploy", "disconnect", "lose", "stop", "ended"];

test("an app that began to stop never runs containers again", () => {
  fc.assert(
    fc.property(fc.constantFrom(...appStates), fc.array(fc.constantFrom(...events), { maxLength: 20 }), (start, path) => {
      let state: AppState = start;
      let mayRun = mayRunContainers(state);
      for (const event of path) {
        const next = transitionApp(state, event);
        if (next !== "illegal") state = next;
        if (!mayRun) expect(mayRunContainers(state)).toBe(false);
        mayRun = mayRunContainers(state);
      }
    }),
  );
});

test("losing the caller ends an ephemeral app and leaves a detached or deployed one running", () => {
  for (const event of ["disconnect", "lose"] as const) {
    expect(transitionApp("ephemeral", event)).toBe("stopping");
    expect(transitionApp("detached", event)).toBe("detachedDisconnected");
  }
  expect(transitionApp("deployed", "disconnect")).toBe("deployed");
});

test("every app can be stopped, and saying it twice is no error", () => {
  for (const state of appStates) expect(["stopping", "stopped"]).toContain(transitionApp(state, "stop"));
});
