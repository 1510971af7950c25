import { mebibyte, type Resources } from "@squall/core/resources";
import fc from "fast-check";
import { expect, test } from "vitest";
import { container, containerId, functionId, functionView, gpus, worker, workerId } from "../test/views.ts";
import { stockByType } from "./place.ts";
import { plan } from "./plan.ts";
import { type ClusterView, defaultSchedulingPolicy, type PlacementPlan } from "./view.ts";

const types = ["A100", "H100", "T4"] as const;
const resources = fc.record({
  milliCpu: fc.constantFrom(125, 500, 1000, 4000, 64_000),
  memoryBytes: fc.constantFrom(128, 1024, 4096, 16_384).map((mib) => mib * mebibyte),
  gpu: fc.option(fc.record({ type: fc.constantFrom(...types, "ANY"), count: fc.integer({ min: 1, max: 8 }) }), { nil: undefined }),
});
const workers = fc
  .array(
    fc.record({
      isOpen: fc.boolean(),
      milliCpu: fc.integer({ min: 0, max: 32_000 }),
      memoryBytes: fc.integer({ min: 0, max: 64 * 1024 }).map((mib) => mib * mebibyte),
      gpus: fc.array(fc.record({ type: fc.constantFrom(...types), count: fc.nat(8), isFake: fc.boolean() }), { maxLength: 2 }),
    }),
    { maxLength: 12 },
  )
  .map((list) => list.map((overrides, n) => worker(n, overrides)));
const functions = fc
  .array(fc.record({ resources, queuedInputs: fc.nat(20), oldestQueuedForMs: fc.nat(1000) }), { maxLength: 12 })
  .map((list) => list.map((overrides, n) => functionView(n, overrides)));
const views = fc.record({ workers, functions });

/** The view after the plan is carried out. */
function carryOut(view: ClusterView, made: PlacementPlan): ClusterView {
  let next = 1_000_000;
  const next_ = () => containerId(next++);
  return {
    workers: view.workers,
    functions: view.functions.map((candidate) => ({
      ...candidate,
      containers: [
        ...candidate.containers,
        ...made.place
          .filter((placement) => placement.functionId === candidate.functionId)
          .map((placement) => container(0, { ...placement, containerId: next_(), resources: candidate.resources, idleForMs: 0 })),
      ],
    })),
  };
}

function assertNothingTwice(view: ClusterView, made: PlacementPlan): void {
  const needs = new Map<string, Resources>(view.functions.map((candidate) => [candidate.functionId, candidate.resources]));
  for (const machine of view.workers) {
    const here = made.place.filter((placement) => placement.workerId === machine.workerId);
    if (here.length > 0) expect(machine.isOpen).toBe(true);
    const sum = (of: (needed: Resources) => number) =>
      here.reduce((total, { functionId: id }) => total + of(needs.get(id) ?? { milliCpu: 1e9, memoryBytes: 1e18, gpu: undefined }), 0);
    expect(sum((needed) => needed.milliCpu)).toBeLessThanOrEqual(machine.milliCpu);
    expect(sum((needed) => needed.memoryBytes)).toBeLessThanOrEqual(machine.memoryBytes);
    for (const [type, count] of stockByType(machine)) {
      const used = here.filter((placement) => placement.gpuType === type).reduce((total, { functionId: id }) => total + (needs.get(id)?.gpu?.count ?? 0), 0);
      expect(used).toBeLessThanOrEqual(count);
    }
    for (const placement of here) {
      const gpu = needs.get(placement.functionId)?.gpu;
      expect(placement.gpuType === undefined).toBe(gpu === undefined);
      if (gpu !== undefined && gpu.type !== "ANY") expect(placement.gpuType).toBe(gpu.type);
    }
    expect(here.length).toBeLessThanOrEqual(Math.max(1, Math.ceil((machine.milliCpu / 1000) * defaultSchedulingPolicy.startsPerCore)));
  }
}

test("nothing of a worker is promised twice", () => {
  fc.assert(
    fc.property(views, (view) => assertNothingTwice(view, plan(view))),
    { numRuns: 300 },
  );
});

test("everything wanted is placed or explained in words", () => {
  fc.assert(
    fc.property(views, (view) => {
      const made = plan(view);
      for (const candidate of view.functions) {
        const placed = made.place.filter((placement) => placement.functionId === candidate.functionId).length;
        const unplaced = made.unplaced.filter((entry) => entry.functionId === candidate.functionId);
        expect(placed + unplaced.reduce((sum, entry) => sum + entry.containers, 0)).toBe(candidate.queuedInputs);
        for (const entry of unplaced) expect(entry.text.length).toBeGreaterThan(10);
      }
    }),
    { numRuns: 300 },
  );
});

test("the order in which workers and functions are listed does not change the plan", () => {
  fc.assert(
    fc.property(views, (view) => {
      expect(plan({ workers: [...view.workers].reverse(), functions: [...view.functions].reverse() })).toEqual(plan(view));
    }),
  );
});

test("a plan that was carried out leaves nothing to place but what still waits for starts", () => {
  fc.assert(
    fc.property(views, (view) => {
      const made = plan(view);
      const again = plan(carryOut(view, made));
      const throttled = new Set<string>(made.unplaced.filter((entry) => entry.reason === "startsInProgress").map((entry) => entry.functionId));
      for (const placement of again.place) expect(throttled.has(placement.functionId)).toBe(true);
    }),
  );
});

test("what can never fit says so and names the largest worker; fake cards are named", () => {
  const workers = [worker(1, { gpus: [{ type: "A100", count: 2, isFake: true }] }), worker(2)];
  const { unplaced } = plan({ workers, functions: [functionView(1, { queuedInputs: 1, resources: gpus("H100", 8) })] });
  expect(unplaced).toEqual([{ functionId: functionId(1), containers: 1, reason: "neverFits", text: "needs 8 × H100; the largest worker has 2 × A100 (fake)" }]);
});

test("too much CPU or memory for any worker is named with the most there is", () => {
  const request = (overrides: Partial<Resources>) =>
    functionView(1, { queuedInputs: 1, resources: { milliCpu: 125, memoryBytes: 1, gpu: undefined, ...overrides } });
  const text = (overrides: Partial<Resources>) => plan({ workers: [worker(1)], functions: [request(overrides)] }).unplaced[0]?.text;
  expect(text({ milliCpu: 64_000 })).toBe("needs 64 cores; the largest worker has 2 cores");
  expect(text({ memoryBytes: 512 * 1024 * mebibyte })).toBe("needs 512 GiB of memory; the largest worker has 8 GiB");
});

test("busy now is not never: a full worker is waited for", () => {
  const full = Array.from({ length: 20 }, (_, n) => container(n));
  const view = { workers: [worker(1)], functions: [functionView(1, { runningInputs: 20, containers: full }), functionView(2, { queuedInputs: 1 })] };
  expect(plan(view)).toMatchObject({
    place: [],
    stop: [],
    unplaced: [{ reason: "noRoom", text: "waiting for room: needs 0.1 cores, 128 MiB, and the worker is full" }],
  });
});

test("an idle container gives its place to another function's waiting input; a working one and a minimum do not", () => {
  const full = (idleForMs: number | undefined) => Array.from({ length: 20 }, (_, n) => container(n, { idleForMs }));
  const view = (first: Parameters<typeof functionView>[1]) => ({
    workers: [worker(1)],
    functions: [functionView(1, first), functionView(2, { queuedInputs: 1 })],
  });
  expect(plan(view({ containers: full(10) })).stop).toEqual([{ containerId: containerId(0), reason: "makeRoom" }]);
  expect(plan(view({ containers: full(10), autoscaling: { minContainers: 20 } })).stop).toEqual([]);
  expect(plan(view({ containers: full(undefined), runningInputs: 20 })).stop).toEqual([]);
  const leaving = [...full(10).slice(1), container(99, { phase: "stopping", idleForMs: 5 })];
  expect(plan(view({ containers: leaving })).stop).toEqual([]);
});

test("a machine carries two starts per core; the rest waits for them", () => {
  const made = plan({ workers: [worker(1)], functions: [functionView(1, { queuedInputs: 10 })] });
  expect(made.place).toHaveLength(4);
  expect(made.unplaced).toMatchObject([{ containers: 6, reason: "startsInProgress" }]);
});

test("plain work leaves the machines with cards alone, and ANY takes the scarcest type that is enough", () => {
  const workers = [
    worker(1, {
      gpus: [
        { type: "A100", count: 8, isFake: false },
        { type: "T4", count: 1, isFake: false },
      ],
    }),
    worker(2),
  ];
  const made = plan({ workers, functions: [functionView(1, { queuedInputs: 1 }), functionView(2, { queuedInputs: 1, resources: gpus("ANY", 1) })] });
  expect(made.place).toEqual([
    { functionId: functionId(1), workerId: workerId(2), gpuType: undefined },
    { functionId: functionId(2), workerId: workerId(1), gpuType: "T4" },
  ]);
});

test("a function that wants a thousand containers does not keep another from its first", () => {
  const made = plan({
    workers: [worker(1)],
    functions: [functionView(1, { queuedInputs: 1000, oldestQueuedForMs: 5000 }), functionView(2, { queuedInputs: 1 })],
  });
  expect(made.place.map((placement) => placement.functionId)).toContain(functionId(2));
});
