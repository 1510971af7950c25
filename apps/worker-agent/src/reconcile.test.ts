import { create } from "@bufbuild/protobuf";
import { DesiredStateSchema } from "@squall/protocol/agent";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { reconcile } from "./reconcile.ts";

const desired = (input: { full?: boolean; containers?: string[]; stops?: string[]; graceful?: boolean }) =>
  create(DesiredStateSchema, {
    full: input.full ?? false,
    containers: (input.containers ?? []).map((containerId) => ({ containerId })),
    stops: (input.stops ?? []).map((containerId) => ({ containerId, graceful: input.graceful ?? false, reason: "scaled down" })),
  });

describe("reconcile", () => {
  test("what is wanted and not here is started, once", () => {
    const actions = reconcile(desired({ containers: ["a", "b", "a"] }), [{ containerId: "b", isLive: true }]);
    expect(actions.map((action) => [action.kind, "container" in action ? action.container.containerId : action.containerId])).toEqual([["start", "a"]]);
  });

  test("a container that has ended is never started again", () => {
    expect(reconcile(desired({ containers: ["a"], full: true }), [{ containerId: "a", isLive: false }])).toEqual([]);
  });

  test("a full state stops what it does not list, an increment does not", () => {
    const here = [{ containerId: "a", isLive: true }];
    expect(reconcile(desired({ containers: [] }), here)).toEqual([]);
    expect(reconcile(desired({ containers: [], full: true }), here)).toMatchObject([{ kind: "stop", containerId: "a", graceful: false }]);
  });

  test("a stop of something unknown is answered, because its end is waited for", () => {
    expect(reconcile(desired({ stops: ["gone"] }), [])).toEqual([{ kind: "reportLost", containerId: "gone" }]);
  });

  test("a stop wins over a start of the same container in one message", () => {
    expect(reconcile(desired({ containers: ["a"], stops: ["a"] }), [])).toEqual([{ kind: "reportLost", containerId: "a" }]);
  });

  test("at most one action per container, and none that contradicts what is here", () => {
    const ids = fc.uniqueArray(fc.constantFrom("a", "b", "c", "d", "e"));
    const observed = fc.uniqueArray(fc.record({ containerId: fc.constantFrom("a", "b", "c", "d", "e"), isLive: fc.boolean() }), {
      selector: (each) => each.containerId,
    });
    fc.assert(
      fc.property(ids, ids, observed, fc.boolean(), (containers, stops, here, full) => {
        const actions = reconcile(desired({ containers, stops, full }), here);
        const named = actions.map((action) => ("container" in action ? action.container.containerId : action.containerId));
        expect(new Set(named).size).toBe(named.length);
        for (const action of actions) {
          const containerId = "container" in action ? action.container.containerId : action.containerId;
          const found = here.find((each) => each.containerId === containerId);
          if (action.kind === "start" || action.kind === "reportLost") expect(found).toBeUndefined();
          if (action.kind === "stop") expect(found?.isLive).toBe(true);
          if (action.kind === "forget") expect(found?.isLive).toBe(false);
        }
      }),
    );
  });
});
