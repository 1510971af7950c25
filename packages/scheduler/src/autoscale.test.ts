import fc from "fast-check";
import { expect, test } from "vitest";
import { container, containerId, functionView } from "../test/views.ts";
import { autoscale, wantedContainers } from "./autoscale.ts";

test("from zero: one waiting input wants one container, and no demand wants none", () => {
  expect(autoscale(functionView(1, { queuedInputs: 1 }))).toMatchObject({ wanted: 1, start: 1 });
  expect(autoscale(functionView(1))).toMatchObject({ wanted: 0, start: 0 });
});

test("inputs share containers up to the target concurrency", () => {
  expect(wantedContainers(functionView(1, { queuedInputs: 21, runningInputs: 4, autoscaling: { targetConcurrency: 10 } }))).toBe(3);
});

test("an input that waits for another of its own function gets a second container", () => {
  expect(autoscale(functionView(1, { queuedInputs: 1, runningInputs: 1, containers: [container(1)] })).start).toBe(1);
});

test("containers that are starting count: they are not ordered twice", () => {
  const starting = [1, 2, 3].map((n) => container(n, { phase: "beforeFirstInput" }));
  expect(autoscale(functionView(1, { queuedInputs: 3, containers: starting })).start).toBe(0);
});

test("a container that is stopping is replaced when there is demand", () => {
  expect(autoscale(functionView(1, { queuedInputs: 1, containers: [container(1, { phase: "stopping" })] })).start).toBe(1);
});

test("an idle container stays for its window and goes after it, the longest idle first", () => {
  const idle = (n: number, idleForMs: number) => container(n, { idleForMs });
  expect(autoscale(functionView(1, { containers: [idle(1, 59_999)] })).stop).toEqual([]);
  const { stop } = autoscale(functionView(1, { queuedInputs: 1, containers: [idle(1, 60_000), idle(2, 90_000)] }));
  expect(stop.map((entry) => entry.containerId)).toEqual([containerId(2)]);
});

test("bounds hold for every demand, and what is ordered plus what lives is what is wanted", () => {
  fc.assert(
    fc.property(
      fc.record({
        queued: fc.nat(5000),
        running: fc.nat(500),
        min: fc.nat(5),
        max: fc.option(fc.integer({ min: 5, max: 50 })),
        buffer: fc.nat(5),
        live: fc.nat(60),
      }),
      ({ queued, running, min, max, buffer, live }) => {
        const containers = Array.from({ length: live }, (_, n) => container(n, { idleForMs: n % 2 === 0 ? 100_000 : undefined }));
        const view = functionView(1, {
          queuedInputs: queued,
          runningInputs: running,
          containers,
          autoscaling: { minContainers: min, maxContainers: max ?? undefined, bufferContainers: buffer },
        });
        const { wanted, start, stop } = autoscale(view);
        expect(wanted).toBeGreaterThanOrEqual(min);
        if (max !== null) expect(wanted).toBeLessThanOrEqual(max);
        expect(start).toBe(Math.max(0, wanted - live));
        expect(live - stop.length).toBeGreaterThanOrEqual(Math.min(live, wanted));
        for (const stopped of stop) expect(stopped.idleForMs).toBeGreaterThanOrEqual(60_000);
        if (start > 0) expect(stop).toEqual([]);
      },
    ),
  );
});
