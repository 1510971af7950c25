import { asId, type Id } from "@squall/core/ids";
import { expect, test } from "vitest";
import { DispatchEngine } from "./engine.ts";
import type { Attempt, Delivery, Effect, FunctionPolicy, OutcomeKind, SubmittedCall } from "./events.ts";

const pad = (n: number) => String(n).padStart(22, "0");
const functionId = asId("function", `fu-${pad(1)}`);
const appId = asId("app", `ap-${pad(1)}`);
const workspaceId = asId("workspace", `ac-${pad(1)}`);
const call = (n: number) => asId("functionCall", `fc-${pad(n)}`);
const input = (n: number) => asId("input", `in-${pad(n)}`);
const container = (n: number) => asId("container", `ta-${pad(n)}`);

function policy(overrides: Partial<FunctionPolicy> = {}): FunctionPolicy {
  return { functionId, appId, workspaceId, retry: { max: 0, initialDelayMs: 0, maxDelayMs: 0, backoff: 1 }, batchLingerMs: 0, ...overrides };
}

/** An engine with everything it asked for so far. */
class Bench {
  readonly engine = new DispatchEngine({ epoch: 1 });
  nowMs = 0;
  readonly given: Delivery[] = [];
  readonly outputs: { readonly inputId: Id<"input">; readonly kind: OutcomeKind; readonly sequence: number }[] = [];
  readonly cancelled: Attempt[] = [];
  readonly #policy: FunctionPolicy;
  #request = 0n;

  constructor(overrides: Partial<FunctionPolicy> = {}) {
    this.#policy = policy(overrides);
    this.take(this.engine.step({ type: "recovered", atMs: 0, leaseMs: 30_000, containers: [] }));
  }

  take(effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.type === "give") this.given.push(...effect.inputs);
      if (effect.type === "storeOutput")
        this.outputs.push({ inputId: effect.output.inputId, kind: effect.output.outcome.kind, sequence: effect.output.sequence });
      if (effect.type === "cancel") this.cancelled.push(...effect.attempts);
    }
  }

  submit(n: number, inputNumbers: readonly number[], overrides: Partial<SubmittedCall> = {}): void {
    const submitted = { callId: call(n), functionId, appId, invocation: 4, isClosed: false, isCancelled: false, nextSequence: 1, ...overrides };
    const inputs = inputNumbers.map((id, idx) => ({ inputId: input(id), idx, createdAtMs: 1 }));
    this.take(this.engine.step({ type: "submitted", atMs: this.nowMs, policy: this.#policy, call: submitted, inputs }));
  }

  request(n: number, slots = 1): void {
    this.take(this.engine.step({ type: "inputsRequested", atMs: this.nowMs, containerId: container(n), functionId, slots, requestId: ++this.#request }));
  }

  answer(delivery: Delivery | undefined, kind: OutcomeKind = "success", from = 1): void {
    if (delivery === undefined) throw new Error("nothing to answer");
    const result = { bytes: new Uint8Array(), dataFormat: 1, startedAtMs: 0, createdAtMs: 0 };
    this.take(this.engine.step({ type: "outputArrived", atMs: this.nowMs, output: { containerId: container(from), attempt: delivery.attempt, kind, result } }));
  }

  ended(n: number, reason: "exited" | "lost" | "stopped" = "exited"): void {
    this.take(this.engine.step({ type: "containerEnded", atMs: this.nowMs, containerId: container(n), functionId, reason, text: reason }));
  }

  pass(ms: number): void {
    this.nowMs += ms;
    this.take(this.engine.step({ type: "tick", atMs: this.nowMs }));
  }

  get givenIds(): string[] {
    return this.given.map(({ attempt }) => attempt.inputId);
  }
}

test("a large map does not starve another call of the same function", () => {
  const bench = new Bench();
  bench.submit(1, [1, 2, 3, 4]);
  bench.submit(2, [5]);
  bench.request(1, 3);
  expect(bench.givenIds).toEqual([input(1), input(5), input(2)]);
});

test("a container that asked before anybody called gets the first call", () => {
  const bench = new Bench();
  bench.request(1);
  bench.submit(1, [1]);
  expect(bench.givenIds).toEqual([input(1)]);
});

test("the container that asked last is served first, so that surplus ones fall idle", () => {
  const bench = new Bench();
  bench.submit(9, []);
  bench.request(1);
  bench.request(2);
  bench.submit(1, [1]);
  bench.ended(1, "lost");
  expect(bench.given).toHaveLength(1); // container 2 has it
});

test("a withdrawn request gets nothing", () => {
  const bench = new Bench();
  bench.request(1);
  bench.request(1, 0);
  bench.submit(1, [1]);
  expect(bench.given).toEqual([]);
});

test("a batched function waits for company, but no longer than its linger", () => {
  const bench = new Bench({ batchLingerMs: 100 });
  bench.request(1, 3);
  bench.submit(1, [1, 2]);
  expect(bench.given).toEqual([]);
  bench.pass(100);
  expect(bench.given).toHaveLength(2);
  bench.request(1, 2);
  bench.submit(2, [3, 4]);
  expect(bench.given).toHaveLength(4); // full: no wait
});

test("retries wait longer each time, up to the policy's bound", () => {
  const bench = new Bench({ retry: { max: 3, initialDelayMs: 100, maxDelayMs: 300, backoff: 2 } });
  bench.submit(1, [1]);
  for (const delayMs of [100, 200, 300]) {
    bench.request(1);
    bench.answer(bench.given.at(-1), "failure");
    const before = bench.given.length;
    bench.request(1);
    bench.pass(delayMs - 1);
    expect(bench.given).toHaveLength(before);
    bench.pass(1);
    expect(bench.given).toHaveLength(before + 1);
  }
  bench.answer(bench.given.at(-1), "failure");
  expect(bench.outputs).toEqual([{ inputId: input(1), kind: "failure", sequence: 1 }]);
  expect(bench.given.map(({ retryCount }) => retryCount)).toEqual([0, 1, 2, 3]);
});

test("losing containers does not use up the user's retries, and ends after eight", () => {
  const bench = new Bench({ retry: { max: 1, initialDelayMs: 0, maxDelayMs: 0, backoff: 1 } });
  bench.submit(1, [1]);
  for (let n = 1; n <= 9; n++) {
    expect(bench.outputs).toEqual([]);
    bench.request(n);
    bench.ended(n);
  }
  expect(bench.given).toHaveLength(9);
  expect(bench.outputs).toEqual([{ inputId: input(1), kind: "internal", sequence: 1 }]);
});

test("an output said twice counts once", () => {
  const bench = new Bench();
  bench.submit(1, [1]);
  bench.request(1);
  bench.answer(bench.given[0]);
  bench.answer(bench.given[0], "failure");
  expect(bench.outputs).toHaveLength(1);
});

test("a cancelled input that its container does not give up ends after the grace", () => {
  const bench = new Bench();
  bench.submit(1, [1]);
  bench.request(1);
  bench.take(bench.engine.step({ type: "callCancelled", atMs: 0, callId: call(1), text: "cancelled", terminateContainers: false }));
  expect(bench.cancelled).toHaveLength(1);
  bench.pass(30_000);
  expect(bench.outputs).toEqual([{ inputId: input(1), kind: "terminated", sequence: 1 }]);
  bench.answer(bench.given[0]);
  expect(bench.outputs).toHaveLength(1);
});

test("a call submitted to an app that was stopped ends at once", () => {
  const bench = new Bench();
  bench.take(bench.engine.step({ type: "appCancelled", atMs: 0, appId, text: "stopped" }));
  bench.request(1);
  bench.submit(1, [1]);
  expect(bench.outputs.map(({ kind }) => kind)).toEqual(["terminated"]);
});

test("a second failure of one start counts once, and a good start clears the count", () => {
  const bench = new Bench();
  bench.submit(1, [1]);
  const result = { bytes: new Uint8Array(), dataFormat: 0, startedAtMs: 0, createdAtMs: 0 };
  const fail = (n: number) => bench.take(bench.engine.step({ type: "initFailed", atMs: 0, containerId: container(n), functionId, result }));
  for (const n of [1, 1, 2]) fail(n);
  bench.ended(2);
  bench.request(3);
  expect(bench.outputs).toEqual([]);
  bench.ended(3, "lost");
  for (const n of [4, 5, 6]) fail(n);
  expect(bench.outputs.map(({ kind }) => kind)).toEqual(["initFailure"]);
});

test("demand tells what waits, what runs and since when", () => {
  const bench = new Bench();
  bench.submit(1, [1, 2, 3]);
  bench.request(1);
  expect(bench.engine.demand()).toEqual([{ functionId, queuedInputs: 2, runningInputs: 1, oldestQueuedAtMs: 1, lastBusyMonotonicMs: 0 }]);
});

test("an idle call is forgotten and taken up again where its outputs ended", () => {
  const bench = new Bench();
  bench.submit(1, [1]);
  bench.request(1);
  bench.answer(bench.given[0]);
  bench.take(bench.engine.step({ type: "stored", atMs: 0, inputIds: [input(1)] }));
  expect(bench.engine.hasCall(call(1))).toBe(true);
  bench.pass(11 * 60_000);
  expect(bench.engine.hasCall(call(1))).toBe(false);
  bench.submit(1, [2], { nextSequence: 2 });
  bench.request(1);
  bench.answer(bench.given[1]);
  expect(bench.outputs.map(({ sequence }) => sequence)).toEqual([1, 2]);
});
