import { asId, type Id } from "@squall/core/ids";
import { defaultResources } from "@squall/core/resources";
import { expect, test } from "vitest";
import { decidePlacements, takeUnannounced } from "./place.ts";
import { type InputDemand, readClusterView } from "./read-view.ts";
import { ClusterState, type FunctionSpec } from "./state.ts";
import { whyWaiting } from "./why-waiting.ts";

const number = (n: number) => String(n).padStart(22, "0");
const functionId = asId("function", `fu-${number(1)}`);
const workerId = asId("worker", `wo-${number(1)}`);
const appId = asId("app", `ap-${number(1)}`);
const container = (n: number) => asId("container", `ta-${number(n)}`);
const input = (n: number) => asId("input", `in-${number(n)}`);

const spec: FunctionSpec = {
  functionId,
  workspaceId: asId("workspace", `ac-${number(1)}`),
  workspaceName: "main",
  appId,
  tag: "f",
  resources: defaultResources,
  autoscaling: { minContainers: 0, maxContainers: undefined, bufferContainers: 0, scaledownWindowMs: 60_000, targetConcurrency: 1 },
  maxConcurrentInputs: 1,
};

function stateWith({ containers = 0, workers = 1, changes = {} as Partial<FunctionSpec> } = {}): ClusterState {
  const state = new ClusterState();
  state.keepFunction({ ...spec, ...changes });
  for (let n = 1; n <= containers; n++) add(state, n);
  const machine = { name: "w", epoch: 1, state: "online", milliCpu: 2000, memoryBytes: 1 << 30, gpus: [], isConnected: true, lastHeardMs: 0 } as const;
  for (let n = 1; n <= workers; n++) state.workers.set(workerId, { workerId, ...machine });
  return state;
}

function add(state: ClusterState, n: number): Id<"container"> {
  state.addContainer({ containerId: container(n), workerId, resources: defaultResources, gpuType: undefined, placedAtMs: 0, spec });
  return container(n);
}

const waiting = (queuedInputs: number): InputDemand => ({ functionId, queuedInputs, runningInputs: 0, oldestQueuedAtMs: 0 });
const idleForMs = (state: ClusterState, nowMs: number) => readClusterView(state, [], nowMs).functions[0]?.containers[0]?.idleForMs;

test("a container is idle from its last answer, not while it has an input in hand", () => {
  const state = stateWith({ containers: 1 });
  expect(idleForMs(state, 10)).toBe(undefined); // still starting
  state.move(container(1), "ready", 100);
  state.inputsGiven(container(1), [input(1)]);
  expect(idleForMs(state, 5_000)).toBe(undefined);
  state.inputEnded(container(1), input(1), 6_000);
  state.inputEnded(container(1), input(1), 9_000); // said again
  expect(idleForMs(state, 10_000)).toBe(4_000);
});

test("a container that asks with every slot free has nothing in hand, even if an answer was missed", () => {
  const state = stateWith({ containers: 1 });
  state.move(container(1), "ready", 0);
  state.inputsGiven(container(1), [input(1)]);
  state.inputsAsked(container(1), 1, 50);
  expect(idleForMs(state, 60)).toBe(10);
});

test("starts that fail in a row are tried again later and later, and a good one forgets them", () => {
  const state = stateWith();
  const failAt = (nowMs: number, n: number) => state.end(add(state, n), nowMs);
  const mayStart = (nowMs: number) => readClusterView(state, [], nowMs).functions[0]?.mayStart;
  for (let n = 1; n <= 2; n++) failAt(0, n);
  expect(mayStart(0)).toBe(true);
  failAt(0, 3);
  expect([mayStart(999), mayStart(1_000)]).toEqual([false, true]);
  failAt(1_000, 4);
  expect([mayStart(2_999), mayStart(3_000)]).toEqual([false, true]);
  for (let n = 5; n < 40; n++) failAt(0, n);
  expect(mayStart(60_000)).toBe(true); // the longest pause
  state.move(add(state, 50), "ready", 70_000);
  expect(mayStart(0)).toBe(true);
});

test("ends that were asked for are no failed starts", () => {
  const state = stateWith();
  for (let n = 1; n <= 5; n++) {
    const containerId = add(state, n);
    const record = state.containers.get(containerId);
    if (record !== undefined) record.stop = { isGraceful: false, reason: "its app was stopped" };
    state.end(containerId, 0);
  }
  expect(state.functions.get(functionId)?.failedStarts).toBe(0);
});

test("only the worker that holds or held a container may speak for it", () => {
  const state = stateWith({ containers: 1 });
  const other = asId("worker", `wo-${number(2)}`);
  expect([state.isHolder(workerId, container(1)), state.isHolder(other, container(1))]).toEqual([true, false]);
  state.end(container(1), 0);
  expect([state.isHolder(workerId, container(1)), state.isHolder(other, container(1))]).toEqual([true, false]);
});

test("nothing of an app that stops is started", () => {
  const state = stateWith();
  state.stopApp(appId);
  expect(decidePlacements(state, [waiting(3)], 0).place).toEqual([]);
});

test("a wait is announced once, after its time, and again only after it was over", () => {
  const state = stateWith({ workers: 0 });
  const decide = (nowMs: number) => void decidePlacements(state, [waiting(1)], nowMs);
  decide(0);
  expect(takeUnannounced(state, 4_999)).toEqual([]);
  decide(5_000);
  expect(takeUnannounced(state, 5_000).map(({ unplaced }) => unplaced?.what.text)).toEqual(["no worker is connected"]);
  decide(6_000);
  expect(takeUnannounced(state, 16_000)).toEqual([]);
  decidePlacements(state, [], 17_000);
  decide(18_000);
  expect(takeUnannounced(state, 23_000)).toHaveLength(1);
});

test("a function that is being served does not complain about the inputs that wait their turn", () => {
  const state = stateWith({ containers: 20 });
  for (let n = 1; n <= 20; n++) state.move(container(n), "ready", 0);
  for (let n = 1; n <= 20; n++) state.inputsGiven(container(n), [input(n)]);
  decidePlacements(state, [{ ...waiting(5), runningInputs: 20 }], 0);
  expect(takeUnannounced(state, 60_000)).toEqual([]);
  expect(whyWaiting(state, waiting(5), 0)).toEqual([]);
});

test("the words for a wait: starting, failing, bounded by the user, without a place", () => {
  const starting = stateWith({ containers: 1 });
  expect(whyWaiting(starting, waiting(1), 0)).toEqual(["f: a container is starting."]);
  const failing = stateWith();
  for (let n = 1; n <= 4; n++) failing.end(add(failing, n), 0);
  expect(whyWaiting(failing, waiting(1), 500)).toEqual(["f: the last 4 starts failed; the next is tried in 2 s."]);
  const bounded = stateWith({ containers: 1, changes: { autoscaling: { ...spec.autoscaling, maxContainers: 1 } } });
  bounded.move(container(1), "ready", 0);
  expect(whyWaiting(bounded, waiting(1), 0)).toEqual(["f: all 1 containers that it may have (max_containers) are busy."]);
  const lonely = stateWith({ workers: 0 });
  decidePlacements(lonely, [waiting(1)], 0);
  expect(whyWaiting(lonely, waiting(1), 0)).toEqual(["f: no worker is connected."]);
  expect(whyWaiting(lonely, waiting(0), 0)).toEqual([]);
});
