import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { DataChunksSchema, InputSchema, OutputSchema } from "@squall/protocol/agent";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ContainerInputs } from "./container-inputs.ts";
import { readHeldInputs } from "./container-state.ts";
import { Outbox } from "./outbox.ts";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "sq-inputs-"));
});
afterAll(() => rm(dir, { recursive: true }));

const nothing = () => {};

function inputsOf({ outbox = new Outbox(), saidHello = nothing } = {}): ContainerInputs {
  return new ContainerInputs({
    containerId: "ta-1",
    dir,
    maxConcurrentInputs: 2,
    inputTimeoutMs: 0,
    held: [],
    outbox,
    clock: { now: () => 0, monotonic: () => 0 },
    request: nothing,
    saidHello,
    askedForInputs: nothing,
    stopAsked: nothing,
    mustDie: nothing,
    becameIdle: nothing,
  });
}

test("a generator's chunks are answered when they are stored, an output when it is kept", async () => {
  const outbox = new Outbox();
  outbox.connect(nothing);
  const inputs = inputsOf({ outbox });
  await inputs.send({ kind: "output", containerId: "ta-1", output: create(OutputSchema, { attempt: { inputId: "in-1" } }) });
  let isAnswered = false;
  const answered = inputs.send({ kind: "dataChunks", containerId: "ta-1", chunks: create(DataChunksSchema, {}) }).then(() => {
    isAnswered = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  expect(isAnswered).toBe(false);
  outbox.acknowledge(2n);
  await answered;
});

test("a container that says hello again and again is noted once", () => {
  let hellos = 0;
  const inputs = inputsOf({ saidHello: () => hellos++ });
  for (let n = 0; n < 3; n++) inputs.saidHello();
  expect(hellos).toBe(1);
});

test("what a container holds is known after a long life, from a file that did not grow with it", async () => {
  const inputs = inputsOf();
  const give = async (inputId: string) => {
    const taken = inputs.broker.take({ maxInputs: 1, concurrency: 2, lingerMs: 0, signal: new AbortController().signal });
    inputs.offer([create(InputSchema, { attempt: { inputId, epoch: 1n, counter: 1n }, functionCallId: "fc-1" })]);
    await taken;
  };
  await give("in-long");
  for (let n = 0; n < 5_000; n++) {
    await give(`in-${n}`);
    const output = create(OutputSchema, { attempt: { inputId: `in-${n}`, epoch: 1n, counter: 1n } });
    await inputs.send({ kind: "output", containerId: "ta-1", output });
  }
  await give("in-last");
  expect(readHeldInputs(dir, 7).map((input) => input.inputId)).toEqual(["in-long", "in-last"]);
  expect((await stat(join(dir, "inputs"))).size).toBeLessThan(100_000);
});
