import { create, fromBinary } from "@bufbuild/protobuf";
import { AgentMessageSchema, ContainerState, ExitReason } from "@squall/protocol/agent";
import { ContainerArgumentsSchema } from "@squall/protocol/modal";
import { disconnectApp } from "@squall/services/app/disconnect";
import { updateScaling } from "@squall/services/function/scaling";
import { type TestDatabase, testDatabase } from "@squall/testkit/test-database";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { ClusterStack, workerToken } from "../../test/cluster-stack.ts";

let database: TestDatabase;
let stack: ClusterStack;

beforeAll(async () => {
  database = await testDatabase();
}, 120_000);
afterEach(async () => stack.stop());
afterAll(async () => database.close());

const waitFor = (check: () => void | Promise<void>) => vi.waitFor(check, { timeout: 5_000, interval: 10 });

test("from zero: a call gets a container, runs, and its output is stored and acknowledged", async () => {
  stack = await ClusterStack.start(database);
  const worker = stack.worker();
  await worker.connect();
  const made = await stack.function();
  const callId = await stack.call(made);
  expect(await stack.outputs(made, callId)).toBe(1);
  await worker.until(() => worker.heard.some((message) => message.case === "outputsStored"));
  const [container] = [...worker.containers.values()];
  expect(container?.desired).toMatchObject({
    functionId: made.functionId,
    appId: made.appId,
    imageKey: "base/x",
    functionName: "f",
    clientVersion: "1.6.4",
    environmentName: "main",
  });
  const args = fromBinary(ContainerArgumentsSchema, container?.desired.arguments ?? new Uint8Array());
  expect(args).toMatchObject({ functionId: made.functionId, functionDef: { functionName: "f", moduleName: "m" } });
  expect(args.appLayout?.objects.map((object) => object.objectId)).toContain(made.functionId);
  await waitFor(async () => expect(await stack.rows("SELECT state FROM container WHERE function_id = $1", [made.functionId])).toEqual([{ state: "ready" }]));
});

test("a worker with a wrong token is refused in clear words and gets nothing", async () => {
  stack = await ClusterStack.start(database);
  const worker = stack.worker({ token: "wrong", name: "intruder" });
  await expect(worker.connect()).rejects.toMatchObject({ code: 16, message: expect.stringContaining("worker token") });
  expect(worker.heard).toEqual([]);
  expect(await stack.rows("SELECT id FROM worker WHERE name = 'intruder'")).toEqual([]);
});

test("each waiting input gets its own container, so that a function may call itself", async () => {
  stack = await ClusterStack.start(database);
  const worker = stack.worker();
  worker.onInput = () => undefined;
  await worker.connect();
  const made = await stack.function();
  await stack.call(made);
  await worker.until(() => [...worker.containers.values()].some((container) => container.running.size === 1));
  await stack.call(made); // as if from inside the first
  await worker.until(() => [...worker.containers.values()].filter((container) => container.running.size === 1).length === 2);
});

test("what no worker can ever take says why, in the app's log and to whoever asks", async () => {
  stack = await ClusterStack.start(database);
  const worker = stack.worker({ inventory: { milliCpu: 4000, memoryBytes: 8n << 30n, gpus: [{ type: "A100", count: 2, fake: true }] } });
  await worker.connect();
  const made = await stack.function({ gpu: { type: "H100", count: 8 } });
  await stack.call(made);
  await waitFor(() => expect(stack.running.cluster.whyWaiting(made.functionId)).toEqual(["f: needs 8 × H100; the largest worker has 2 × A100 (fake)."]));
  await waitFor(() => expect(stack.systemLines).toEqual(["f waits: needs 8 × H100; the largest worker has 2 × A100 (fake)"]));
});

test("a fake GPU is given like a real one", async () => {
  stack = await ClusterStack.start(database);
  const worker = stack.worker({ inventory: { milliCpu: 4000, memoryBytes: 8n << 30n, gpus: [{ type: "A100", count: 2, fake: true }] } });
  await worker.connect();
  const made = await stack.function({ gpu: { type: "ANY", count: 1 } });
  expect(await stack.outputs(made, await stack.call(made))).toBe(1);
  expect([...worker.containers.values()][0]?.desired).toMatchObject({ gpuType: "A100", gpuCount: 1 });
});

test("an idle container is asked to go after its window, down to none", async () => {
  stack = await ClusterStack.start(database);
  const worker = stack.worker();
  await worker.connect();
  const made = await stack.function({ scaledownWindowMs: 200 });
  await stack.outputs(made, await stack.call(made));
  await worker.until(() => worker.containers.size === 0);
  const stop = worker.heard.flatMap((message) => (message.case === "desired" ? message.value.stops : []));
  expect(stop).toMatchObject([{ graceful: true }]);
  expect(await stack.rows("SELECT state, exit_reason FROM container WHERE function_id = $1", [made.functionId])).toEqual([
    { state: "exited", exit_reason: "stopped" },
  ]);
});

test("inputs of a container that died run again in a new one", async () => {
  stack = await ClusterStack.start(database);
  const worker = stack.worker();
  worker.onInput = () => undefined;
  await worker.connect();
  const made = await stack.function();
  const callId = await stack.call(made);
  await worker.until(() => [...worker.containers.values()].some((container) => container.running.size === 1));
  const [first] = [...worker.containers.keys()];
  worker.onInput = () => Uint8Array.of(8, 1);
  worker.end(first ?? "", { reason: ExitReason.EXITED, code: 7 });
  expect(await stack.outputs(made, callId)).toBe(1);
  expect(worker.containers.has(first ?? "")).toBe(false); // its end is stored and forgotten
});

test("a worker that reconnects keeps its containers and what they run", async () => {
  stack = await ClusterStack.start(database);
  const worker = stack.worker();
  worker.onInput = () => undefined;
  await worker.connect();
  const made = await stack.function();
  const callId = await stack.call(made);
  await worker.until(() => [...worker.containers.values()].some((container) => container.running.size === 1));
  worker.disconnect();
  await waitFor(() => expect(stack.running.gateway.connectedWorkers).toBe(0));
  await worker.connect();
  const [container] = [...worker.containers.values()];
  const [inputId] = [...(container?.running.keys() ?? [])];
  worker.answer(container?.desired.containerId ?? "", inputId ?? "");
  expect(await stack.outputs(made, callId)).toBe(1);
  expect(await stack.rows("SELECT count(*)::int AS n FROM container WHERE function_id = $1", [made.functionId])).toEqual([{ n: 1 }]);
});

test("a second Link of the same worker replaces the first", async () => {
  stack = await ClusterStack.start(database);
  const first = stack.worker({ name: "twice" });
  await first.connect();
  const second = stack.worker({ name: "twice" });
  const welcome = await second.connect();
  await first.until(() => first.lastError !== undefined);
  expect(first.lastError).toMatchObject({ message: expect.stringContaining("connected again") });
  expect(stack.running.gateway.connectedWorkers).toBe(1);
  expect(stack.running.gateway.sessionOf(welcome.session)).toMatchObject({ workerId: welcome.workerId });
});

test("a Link that is gone before it is welcomed does not replace the one that came after it", async () => {
  stack = await ClusterStack.start(database);
  const worker = stack.worker({ name: "impatient" });
  const welcome = await worker.connect();
  async function* oldHello() {
    yield create(AgentMessageSchema, { message: { case: "hello", value: { workerToken, workerName: "impatient" } } });
  }
  const old = stack.running.gateway.link(oldHello(), { signal: AbortSignal.abort() });
  await expect(old.next()).rejects.toMatchObject({ code: 1 });
  expect(stack.running.gateway.sessionOf(welcome.session)).toMatchObject({ workerId: welcome.workerId });
  expect(worker.lastError).toBeUndefined();
});

test("a worker that is silent for its lease is lost: its inputs run elsewhere, and what it still runs is killed when it returns", async () => {
  stack = await ClusterStack.start(database, { workerLeaseMs: 400 });
  const silent = stack.worker({ name: "silent" });
  silent.onInput = () => undefined;
  await silent.connect();
  const made = await stack.function();
  const callId = await stack.call(made);
  await silent.until(() => [...silent.containers.values()].some((container) => container.running.size === 1));
  const other = stack.worker({ name: "other" });
  const beating = setInterval(() => other.heartbeat(), 50);
  await other.connect();
  expect(await stack.outputs(made, callId)).toBe(1);
  expect(await stack.rows("SELECT state FROM worker WHERE name = 'silent'")).toEqual([{ state: "lost" }]);
  const [container] = [...silent.containers.keys()];
  silent.disconnect();
  await silent.connect();
  await silent.until(() => !silent.containers.has(container ?? ""));
  clearInterval(beating);
});

test("a container that its worker no longer has is lost, and its input runs again", async () => {
  stack = await ClusterStack.start(database);
  const worker = stack.worker();
  worker.onInput = () => undefined;
  await worker.connect();
  const made = await stack.function();
  const callId = await stack.call(made);
  await worker.until(() => [...worker.containers.values()].some((container) => container.running.size === 1));
  worker.disconnect();
  worker.containers.clear();
  worker.onInput = () => Uint8Array.of(8, 1);
  await worker.connect();
  expect(await stack.outputs(made, callId)).toBe(1);
  expect(await stack.rows("SELECT exit_reason FROM container WHERE function_id = $1 ORDER BY id LIMIT 1", [made.functionId])).toEqual([
    { exit_reason: "lost" },
  ]);
});

test("a caller that says goodbye takes its containers along within two seconds, and the log ends after them", async () => {
  stack = await ClusterStack.start(database);
  const worker = stack.worker();
  worker.onInput = () => undefined;
  await worker.connect();
  const made = await stack.function();
  const callId = await stack.call(made);
  await worker.until(() => [...worker.containers.values()].some((container) => container.running.size === 1));
  const startedAt = performance.now();
  await disconnectApp({ ctx: stack.context(made.workspace), input: { appId: made.appId, because: "goodbye", reason: "its entrypoint completed" } });
  stack.running.stopApps();
  await worker.until(() => worker.containers.size === 0);
  await waitFor(() => expect(stack.endedApps).toEqual([made.appId]));
  expect(performance.now() - startedAt).toBeLessThan(2_000);
  expect(await stack.outputs(made, callId)).toBe(1); // terminated
  expect(await stack.rows("SELECT state FROM app WHERE id = $1", [made.appId])).toEqual([{ state: "stopped" }]);
  expect(worker.heard.flatMap((message) => (message.case === "desired" ? message.value.stops : []))).toMatchObject([{ graceful: false }]);
});

test("an ephemeral app whose caller is silent is stopped; a detached one goes on", async () => {
  stack = await ClusterStack.start(database, { callerLeaseMs: 300 });
  const ephemeral = await stack.function();
  const detached = await stack.function({ appState: "detached" });
  const stateOf = async (appId: string) => (await stack.rows("SELECT state FROM app WHERE id = $1", [appId]))[0]?.["state"];
  await waitFor(async () => expect(await stateOf(ephemeral.appId)).toBe("stopped"));
  await waitFor(async () => expect(await stateOf(detached.appId)).toBe("detachedDisconnected"));
});

test("an api that was killed takes over containers and inputs from what the worker reports", async () => {
  stack = await ClusterStack.start(database);
  const worker = stack.worker({ name: "survivor" });
  worker.onInput = () => undefined;
  await worker.connect();
  const made = await stack.function();
  const callId = await stack.call(made);
  await worker.until(() => [...worker.containers.values()].some((container) => container.running.size === 1));
  const next = await ClusterStack.start(database);
  const again = next.worker({ name: "survivor" });
  again.onInput = () => undefined;
  for (const [containerId, container] of worker.containers) again.containers.set(containerId, container);
  await again.connect();
  const [container] = [...again.containers.values()];
  expect(container?.state).toBe(ContainerState.READY);
  again.answer(container?.desired.containerId ?? "", [...(container?.running.keys() ?? [])][0] ?? "");
  expect(await next.outputs(made, callId)).toBe(1);
  expect(await next.rows("SELECT count(*)::int AS n FROM container WHERE function_id = $1", [made.functionId])).toEqual([{ n: 1 }]);
  await stack.stop();
  stack = next;
});

test("usage is stored once, whatever is sent twice, and only from the worker that held the container", async () => {
  stack = await ClusterStack.start(database);
  const worker = stack.worker();
  const other = stack.worker();
  await worker.connect();
  const made = await stack.function();
  await stack.outputs(made, await stack.call(made));
  await other.connect();
  const [containerId] = [...worker.containers.keys()];
  const segment = { containerId: containerId ?? "", seq: 0n, fromMs: 1n, toMs: 2n, cpuNs: 3n, milliCpu: 100, memoryBytes: 5n };
  worker.say({ case: "usage", value: { segments: [segment] } });
  worker.say({ case: "usage", value: { segments: [segment] } });
  other.say({ case: "usage", value: { segments: [{ ...segment, seq: 1n }] } });
  await worker.until(() => worker.heard.filter((message) => message.case === "usageStored").length === 2);
  await other.until(() => other.heard.some((message) => message.case === "usageStored"));
  expect(await stack.rows("SELECT seq, cpu_ns, workspace_id FROM usage_segment WHERE container_id = $1", [containerId])).toEqual([
    { seq: 0, cpu_ns: 3, workspace_id: made.workspace.id },
  ]);
});

test("a function that never starts is not started for ever: its waiting inputs fail and starts back off", async () => {
  stack = await ClusterStack.start(database);
  const worker = stack.worker();
  worker.startsContainers = false;
  await worker.connect();
  const made = await stack.function({ maxContainers: 1 });
  const callId = await stack.call(made);
  const crash = setInterval(() => {
    for (const [containerId, container] of worker.containers) if (container.exit === undefined) worker.end(containerId, { reason: ExitReason.EXITED, code: 1 });
  }, 5);
  expect(await stack.outputs(made, callId)).toBe(1);
  clearInterval(crash);
  const [row] = await stack.rows("SELECT count(*)::int AS n FROM container WHERE function_id = $1", [made.functionId]);
  expect(row?.["n"]).toBe(3);
});

test("a minimum of containers stands without any call, is kept through idleness, and follows its setting", async () => {
  stack = await ClusterStack.start(database);
  const worker = stack.worker();
  const made = await stack.function({ minContainers: 2, scaledownWindowMs: 100 });
  await stack.running.scalingChanged(made.functionId);
  await worker.connect();
  await worker.until(() => worker.containers.size === 2);
  const settings = { minContainers: 0, maxContainers: undefined, bufferContainers: undefined, scaledownWindowMs: undefined };
  await updateScaling({ ctx: stack.context(made.workspace), input: { functionId: made.functionId, settings } });
  await stack.running.scalingChanged(made.functionId);
  await worker.until(() => worker.containers.size === 0);
});
