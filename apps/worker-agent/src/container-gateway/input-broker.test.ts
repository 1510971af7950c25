import { create } from "@bufbuild/protobuf";
import { type Input, InputSchema } from "@squall/protocol/agent";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { InputBroker, type RunningInput } from "./input-broker.ts";

const input = (inputId: string, retryCount = 0): Input =>
  create(InputSchema, { attempt: { inputId, epoch: 1n, counter: BigInt(retryCount) }, functionCallId: "fc-1", retryCount });

function brokerOf() {
  const requests: [number, bigint][] = [];
  const delivered: RunningInput[] = [];
  const broker = new InputBroker({
    request: (slots, id) => requests.push([slots, id]),
    monotonicMs: () => 7,
    delivered: (inputs) => delivered.push(...inputs),
  });
  const take = (options: { maxInputs?: number; concurrency?: number; lingerMs?: number; signal?: AbortSignal } = {}) =>
    broker.take({ maxInputs: 1, concurrency: 1, lingerMs: 0, signal: new AbortController().signal, ...options });
  return { broker, requests, delivered, take };
}

const idsOf = (taken: Awaited<ReturnType<InputBroker["take"]>>) =>
  taken.kind === "inputs" ? taken.inputs.map((each) => each.attempt?.inputId) : "kill switch";

describe("input broker", () => {
  test("a container that waits asks for one input and gets it", async () => {
    const { broker, requests, delivered, take } = brokerOf();
    const taken = take();
    expect(requests).toEqual([[1, 1n]]);
    broker.offer([input("in-1")]);
    expect(idsOf(await taken)).toEqual(["in-1"]);
    expect(delivered).toMatchObject([{ inputId: "in-1", deliveredAtMs: 7 }]);
    expect(requests).toEqual([[1, 1n]]);
  });

  test("slots for side by side inputs count what runs and what waits", async () => {
    const { broker, requests, take } = brokerOf();
    const first = take({ concurrency: 4 });
    expect(requests.at(-1)?.[0]).toBe(4);
    broker.offer([input("in-1"), input("in-2")]);
    expect(idsOf(await first)).toEqual(["in-1"]);
    expect(requests.at(-1)?.[0]).toBe(0);
    expect(idsOf(await take({ concurrency: 4 }))).toEqual(["in-2"]);
    const third = take({ concurrency: 4 });
    expect(requests.at(-1)?.[0]).toBe(2);
    broker.finish("in-1");
    expect(requests.at(-1)?.[0]).toBe(3);
    broker.stop();
    expect(idsOf(await third)).toBe("kill switch");
  });

  test("a batch waits its linger for company, and not longer", async () => {
    const { broker, take } = brokerOf();
    const full = take({ maxInputs: 2, lingerMs: 60_000 });
    broker.offer([input("in-1")]);
    broker.offer([input("in-2")]);
    expect(idsOf(await full)).toEqual(["in-1", "in-2"]);
    const lonely = take({ maxInputs: 2, lingerMs: 5 });
    broker.offer([input("in-3")]);
    expect(idsOf(await lonely)).toEqual(["in-3"]);
  });

  test("a repeated delivery is dropped, a newer attempt replaces what runs", async () => {
    const { broker, take } = brokerOf();
    const taken = take();
    broker.offer([input("in-1")]);
    await taken;
    broker.offer([input("in-1")]);
    const again = take();
    broker.offer([input("in-1", 1)]);
    expect(idsOf(await again)).toEqual(["in-1"]);
    expect(broker.find("in-1", 0)).toBeUndefined();
    expect(broker.find("in-1", 1)?.attempt.counter).toBe(1n);
    expect(broker.held()).toHaveLength(1);
  });

  test("inputs that came after the kill switch are held, not handed out", async () => {
    const { broker, take } = brokerOf();
    broker.stop();
    broker.offer([input("in-1")]);
    expect(idsOf(await take())).toBe("kill switch");
    expect(broker.held().map((each) => each.inputId)).toEqual(["in-1"]);
  });

  test("a container that gives up waiting withdraws its request", async () => {
    const { requests, take } = brokerOf();
    const controller = new AbortController();
    const taken = take({ signal: controller.signal });
    controller.abort();
    await expect(taken).rejects.toThrow("gave up");
    expect(requests.map(([slots]) => slots)).toEqual([1, 0]);
  });
});

test("whatever the order of events: no input is lost, handed out twice, or handed out beyond what was asked", async () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant("take" as const), maxInputs: fc.integer({ min: 1, max: 3 }), concurrency: fc.integer({ min: 1, max: 4 }) }),
    fc.record({ kind: fc.constant("offer" as const), count: fc.integer({ min: 1, max: 3 }) }),
    fc.record({ kind: fc.constant("repeat" as const) }),
    fc.record({ kind: fc.constant("finish" as const) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), fc.boolean(), async (steps, stops) => {
      const { broker, take } = brokerOf();
      const offered: Input[] = [];
      const handedOut: string[] = [];
      const finished = new Set<string>();
      const takes: Promise<void>[] = [];
      for (const each of steps) {
        if (each.kind === "take") {
          takes.push(
            take(each).then((taken) => {
              const ids = taken.kind === "inputs" ? taken.inputs.map((one) => one.attempt?.inputId ?? "") : [];
              expect(ids.length).toBeLessThanOrEqual(each.maxInputs);
              handedOut.push(...ids);
            }),
          );
        }
        if (each.kind === "offer") {
          const inputs = Array.from({ length: each.count }, (_, index) => input(`in-${offered.length + index}`));
          offered.push(...inputs);
          broker.offer(inputs);
        }
        const last = offered.at(-1);
        if (each.kind === "repeat" && last && !finished.has(last.attempt?.inputId ?? "")) broker.offer([last]);
        await Promise.resolve();
        const done = handedOut.find((inputId) => !finished.has(inputId));
        if (each.kind === "finish" && done) {
          finished.add(done);
          broker.finish(done);
        }
      }
      if (stops) broker.stop();
      await Promise.resolve();
      const held = broker.held().map((each) => each.inputId);
      expect(new Set(handedOut).size).toBe(handedOut.length);
      expect([...held, ...finished].sort()).toEqual(offered.map((each) => each.attempt?.inputId).sort());
      broker.stop();
      await Promise.all(takes);
    }),
  );
});
