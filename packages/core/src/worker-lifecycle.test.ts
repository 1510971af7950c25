import { expect, test } from "vitest";
import { transitionWorker, workerStates } from "./worker-lifecycle.ts";

test("a worker that was lost is used again once it connects", () => {
  expect(transitionWorker("online", "lose")).toBe("lost");
  expect(transitionWorker("lost", "connect")).toBe("online");
});

test("a cordon outlives silence and reconnection", () => {
  for (const state of ["cordoned", "draining"] as const) {
    expect(transitionWorker(state, "lose")).toBe(state);
    expect(transitionWorker(state, "connect")).toBe(state);
    expect(transitionWorker(state, "uncordon")).toBe("online");
  }
});

test("every worker may connect", () => {
  for (const state of workerStates) expect(transitionWorker(state, "connect")).not.toBe("illegal");
});
