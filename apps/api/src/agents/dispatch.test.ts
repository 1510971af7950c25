import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { type Id, newId } from "@squall/core/ids";
import { openLocalDirectory } from "@squall/objects/local-directory";
import { DataChunkSchema, GenericResult_GenericStatus as Status } from "@squall/protocol/modal";
import type { ServiceContext, ServiceDeps } from "@squall/services/context";
import { addInputs } from "@squall/services/function-call/add-inputs";
import { awaitOutputs } from "@squall/services/function-call/await-outputs";
import { cancelCall } from "@squall/services/function-call/cancel";
import { readChunks } from "@squall/services/function-call/read-chunks";
import { type SubmitCallInput, submitCall } from "@squall/services/function-call/submit";
import { type TestDatabase, testDatabase } from "@squall/testkit/test-database";
import { type TestWorkspace, testWorkspace } from "@squall/testkit/test-workspace";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { decodeResult, makeResult } from "../wire/result.ts";
import { type Dispatcher, startDispatcher } from "./dispatch.ts";
import type { AgentPort, AttemptKey, InputDelivery } from "./ports.ts";

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const clock = { now: () => Date.now(), monotonic: () => performance.now() };
const random = { int: (bound: number) => Math.floor(Math.random() * bound) };
const source = { clock, random };
const never = new AbortController().signal;

let database: TestDatabase;
let folder: string;
let deps: Pick<ServiceDeps, "db" | "objects" | "clock" | "random" | "log">;
const running: Dispatcher[] = [];

beforeAll(async () => {
  database = await testDatabase();
  folder = await mkdtemp(join(tmpdir(), "sq-dispatch-"));
  deps = { db: database.db, objects: await openLocalDirectory(folder), clock, random, log: silent };
}, 120_000);
afterEach(async () => {
  for (const dispatcher of running.splice(0)) await dispatcher.close();
  await database.owner.query("UPDATE input SET status = 1");
});
afterAll(async () => {
  await database.close();
  await rm(folder, { recursive: true });
});

/** Workers that take everything, or nothing. */
class FakeAgents implements AgentPort {
  readonly sent: { readonly containerId: Id<"container">; readonly inputs: readonly InputDelivery[] }[] = [];
  readonly cancelled: AttemptKey[] = [];
  isConnected = true;

  sendInputs(containerId: Id<"container">, _requestId: bigint, inputs: readonly InputDelivery[]): boolean {
    if (this.isConnected) this.sent.push({ containerId, inputs });
    return this.isConnected;
  }

  cancelInputs(_containerId: Id<"container">, attempts: readonly AttemptKey[]): boolean {
    this.cancelled.push(...attempts);
    return this.isConnected;
  }

  get deliveries(): InputDelivery[] {
    return this.sent.flatMap(({ inputs }) => inputs);
  }
}

async function start(agents: AgentPort, leaseMs = 30_000): Promise<Dispatcher> {
  const dispatcher = await startDispatcher({ deps, agents: () => agents, owner: "test", leaseMs });
  running.push(dispatcher);
  return dispatcher;
}

async function workspaceWithFunction({ retryMax = 0 } = {}) {
  const workspace = await testWorkspace(database);
  const functionId = newId("function", source);
  const appId = newId("app", source);
  await database.owner.query(
    "INSERT INTO app (id, workspace_id, environment_id, description, state, created_at_ms) VALUES ($1, $2, $3, 'test', 'ephemeral', 1)",
    [appId, workspace.id, workspace.environmentId],
  );
  await database.owner.query(
    `INSERT INTO function (id, workspace_id, environment_id, app_id, tag, state, definition, kind, milli_cpu, memory_bytes, timeout_ms, startup_timeout_ms,
       scaledown_window_ms, retry_max, definition_id, created_at_ms)
     VALUES ($1, $2, $3, $4, 'f', 'created', '', 'function', 125, 1, 1, 1, 1, $5, 'de-1', 1)`,
    [functionId, workspace.id, workspace.environmentId, appId, retryMax],
  );
  return { workspace, functionId, appId };
}

function contextOf(workspace: TestWorkspace, idempotencyKey?: string): ServiceContext<"db" | "objects" | "clock" | "random"> {
  const actor = { kind: "user", userId: workspace.userId, tokenId: undefined, role: "owner" } as const;
  return { actor, workspace, requestId: "rq", idempotencyKey, clientVersion: "1.6.4", deps };
}

function unary(functionId: string, payload: Uint8Array): SubmitCallInput {
  return { functionId, kind: "unary", invocation: 4, callerInputId: undefined, inputs: [{ idx: 0, payload }] };
}

function success({ attempt }: InputDelivery, containerId: Id<"container">, text = "fine") {
  return arrived(attempt, containerId, makeResult("success", text));
}

function arrived(attempt: AttemptKey, containerId: Id<"container">, result: Uint8Array) {
  return { containerId, attempt, result, dataFormat: 1, startedAtMs: 1, createdAtMs: 2, origin: "container" } as const;
}

function read(calls: Dispatcher, workspace: TestWorkspace, callId: string, afterSequence = 0, timeoutMs = 5_000) {
  const input = { callId, afterSequence, timeoutMs, range: undefined, maxValues: 0 };
  return awaitOutputs({ ctx: contextOf(workspace), input, calls, signal: never });
}

const newContainer = () => newId("container", source);
const bytes = (text: string) => new TextEncoder().encode(text);

test("a call reaches the container that waits, and its output the caller that waits", async () => {
  const agents = new FakeAgents();
  const calls = await start(agents);
  const { workspace, functionId } = await workspaceWithFunction();
  const containerId = newContainer();
  calls.inputsRequested(containerId, functionId, 1, 1n);
  const { callId, inputs } = await submitCall({ ctx: contextOf(workspace), input: unary(functionId, bytes("hello")), calls });
  expect(agents.deliveries.map(({ input, attempt, retryCount, invocationType }) => [input, attempt.inputId, retryCount, invocationType])).toEqual([
    [bytes("hello"), inputs[0]?.inputId, 0, 4],
  ]);
  const waiting = read(calls, workspace, callId);
  await calls.outputsArrived(agents.deliveries.map((delivery) => success(delivery, containerId)));
  const { outputs, lastSequence, unfinishedInputs } = await waiting;
  expect(outputs.map(({ idx, result, containerId: from }) => [idx, decodeResult(result).status, from])).toEqual([[0, Status.SUCCESS, containerId]]);
  expect([lastSequence, unfinishedInputs]).toEqual([1, 0]);
});

test("a map of 1,000 inputs costs statements by the batch, not by the input", async () => {
  const agents = new FakeAgents();
  const calls = await start(agents);
  const { workspace, functionId } = await workspaceWithFunction();
  const containerId = newContainer();
  const { callId } = await submitCall({ ctx: contextOf(workspace), input: { ...unary(functionId, bytes("")), kind: "map", inputs: [] }, calls });
  const puts = Array.from({ length: 20 }, (_, n) => Array.from({ length: 50 }, (__, i) => ({ idx: n * 50 + i, payload: bytes(`${n * 50 + i}`) })));
  await Promise.all(puts.map((inputs) => addInputs({ ctx: contextOf(workspace), input: { callId, inputs }, calls })));
  for (let n = 0; n < 1000; n++) calls.inputsRequested(containerId, functionId, 1, BigInt(n));
  expect(agents.deliveries).toHaveLength(1000);
  await Promise.all(agents.deliveries.map((delivery) => calls.outputsArrived([success(delivery, containerId)])));
  const { outputs } = await read(calls, workspace, callId);
  expect(new Set(outputs.map((output) => output.idx)).size).toBe(1000);
  expect(calls.journal.statements).toBeLessThan(20);
});

test("the same idempotency key answers the same call, another request under it is refused", async () => {
  const calls = await start(new FakeAgents());
  const { workspace, functionId } = await workspaceWithFunction();
  const ctx = contextOf(workspace, "key");
  const first = await submitCall({ ctx, input: unary(functionId, bytes("a")), calls });
  const second = await submitCall({ ctx, input: unary(functionId, bytes("a")), calls });
  expect([second.callId, second.inputs]).toEqual([first.callId, first.inputs]);
  await expect(submitCall({ ctx, input: unary(functionId, bytes("b")), calls })).rejects.toMatchObject({ code: "alreadyExists" });
});

test("after a restart what runs is adopted, what waits is given out, and results count once", async () => {
  const agents = new FakeAgents();
  const before = await start(agents);
  const { workspace, functionId, appId } = await workspaceWithFunction();
  const containerId = newContainer();
  const workerId = newId("worker", source);
  await database.owner.query(
    `INSERT INTO container (id, workspace_id, app_id, function_id, worker_id, state, milli_cpu, memory_bytes, requested_at_ms) VALUES ($1, $2, $3, $4, $5, 'ready', 1, 1, 1)`,
    [containerId, workspace.id, appId, functionId, workerId],
  );
  before.inputsRequested(containerId, functionId, 1, 1n);
  const first = await submitCall({ ctx: contextOf(workspace), input: unary(functionId, bytes("runs")), calls: before });
  const second = await submitCall({ ctx: contextOf(workspace), input: unary(functionId, bytes("waits")), calls: before });
  const [delivery] = agents.deliveries;
  if (delivery === undefined) throw new Error("nothing was given out");
  await before.close();

  const calls = await start(agents);
  calls.inputsRequested(newContainer(), functionId, 1, 1n);
  expect(agents.deliveries).toHaveLength(1); // nothing before the worker was heard
  calls.workerConnected(workerId, [{ containerId, functionId, isLive: true, running: [delivery.attempt], waitingSlots: 0 }]);
  await expect.poll(() => agents.deliveries.length).toBe(2);
  expect(agents.deliveries[1]?.attempt.inputId).toBe(second.inputs[0]?.inputId);
  expect(Buffer.from(agents.deliveries[1]?.input ?? []).toString()).toBe("waits");
  await calls.outputsArrived([success(delivery, containerId), success(delivery, containerId, "again")]);
  const { outputs } = await read(calls, workspace, first.callId);
  expect(outputs.map(({ result }) => decodeResult(result).exception)).toEqual(["fine"]);
});

test("nothing that the process before has sent is stored after the backlog was read", async () => {
  const { workspace, functionId, appId } = await workspaceWithFunction();
  const killed = await database.db.connectEngine();
  killed.on("error", () => {}); // it is ended from outside
  await killed.query("SELECT set_config('application_name', 'squall journal', false)");
  const callId = newId("functionCall", source);
  const late = killed.query(
    `INSERT INTO function_call (id, workspace_id, function_id, app_id, kind, invocation, created_at_ms, inputs_finished)
     SELECT $1, $2, $3, $4, 'unary', 4, 1, true FROM (SELECT pg_sleep(30)) AS slow`,
    [callId, workspace.id, functionId, appId],
  );
  const outcome = late.then(
    () => "stored",
    () => "refused",
  );
  await start(new FakeAgents());
  expect(await outcome).toBe("refused");
});

test("an input whose container is lost goes to another with a new retry count, and the late result is refused", async () => {
  const agents = new FakeAgents();
  const calls = await start(agents);
  const { workspace, functionId } = await workspaceWithFunction();
  const [lost, other] = [newContainer(), newContainer()];
  calls.inputsRequested(lost, functionId, 1, 1n);
  const { callId } = await submitCall({ ctx: contextOf(workspace), input: unary(functionId, bytes("x")), calls });
  calls.inputsRequested(other, functionId, 1, 1n);
  await calls.containerEnded(lost, functionId, { reason: "lost", code: 0, message: "" });
  await expect.poll(() => agents.deliveries.length).toBe(2);
  const [late, good] = agents.deliveries;
  if (late === undefined || good === undefined) throw new Error("not given out twice");
  expect(good.retryCount).toBe(1);
  await calls.outputsArrived([success(late, lost, "late")]);
  await calls.outputsArrived([success(good, other, "good")]);
  const { outputs } = await read(calls, workspace, callId);
  expect(outputs.map(({ result }) => decodeResult(result).exception)).toEqual(["good"]);
  const { rows } = await database.owner.query("SELECT outcome FROM attempt WHERE input_id = $1 ORDER BY counter", [good.attempt.inputId]);
  expect(rows).toEqual([{ outcome: "lost" }, { outcome: "success" }]);
});

test("large arguments and results pass through objects, byte for byte", async () => {
  const agents = new FakeAgents();
  const calls = await start(agents);
  const { workspace, functionId } = await workspaceWithFunction();
  const containerId = newContainer();
  const payload = new Uint8Array(300_000).map((_, n) => n % 251);
  const { callId } = await submitCall({ ctx: contextOf(workspace), input: unary(functionId, payload), calls });
  calls.inputsRequested(containerId, functionId, 1, 1n);
  await expect.poll(() => agents.deliveries.length).toBe(1);
  expect(Buffer.compare(agents.deliveries[0]?.input ?? new Uint8Array(), payload)).toBe(0);
  const text = "y".repeat(200_000);
  await calls.outputsArrived(agents.deliveries.map((delivery) => success(delivery, containerId, text)));
  calls.outputs.forget(callId); // as after a restart: from the database
  const { outputs } = await read(calls, workspace, callId);
  expect(outputs.map(({ result }) => decodeResult(result).exception)).toEqual([text]);
});

test("a container's end does not overtake its large output, nor a small one behind another's large one", async () => {
  const agents = new FakeAgents();
  const calls = await start(agents);
  const { workspace, functionId } = await workspaceWithFunction();
  const [large, small] = [newContainer(), newContainer()];
  const submitted = [];
  for (const containerId of [large, small]) {
    calls.inputsRequested(containerId, functionId, 1, 1n);
    submitted.push(await submitCall({ ctx: contextOf(workspace), input: unary(functionId, bytes("x")), calls }));
  }
  const arrivals = agents.sent.map(({ containerId, inputs: [delivery] }) => {
    if (delivery === undefined) throw new Error("nothing was given out");
    return calls.outputsArrived([success(delivery, containerId, containerId === large ? "y".repeat(200_000) : "fine")]);
  });
  const ends = [large, small].map((containerId) => calls.containerEnded(containerId, functionId, { reason: "stopped", code: 0, message: "" }));
  await Promise.all([...arrivals, ...ends]);
  for (const { callId } of submitted) expect((await read(calls, workspace, callId)).outputs).toHaveLength(1);
  const { rows } = await database.owner.query("SELECT outcome FROM attempt WHERE input_id = ANY($1)", [submitted.map(({ inputs }) => inputs[0]?.inputId)]);
  expect(rows.map(({ outcome }) => outcome)).toEqual(["success", "success"]);
});

test("chunks of a generator are read in order and are all there before the output", async () => {
  const agents = new FakeAgents();
  const calls = await start(agents);
  const { workspace, functionId } = await workspaceWithFunction();
  const containerId = newContainer();
  calls.inputsRequested(containerId, functionId, 1, 1n);
  const { callId } = await submitCall({ ctx: contextOf(workspace), input: unary(functionId, bytes("g")), calls });
  const [delivery] = agents.deliveries;
  if (delivery === undefined) throw new Error("nothing was given out");
  const chunk = (index: number, size: number) =>
    toBinary(DataChunkSchema, create(DataChunkSchema, { index: BigInt(index), dataOneof: { case: "data", value: new Uint8Array(size) } }));
  const reading = readChunks({ ctx: contextOf(workspace), input: { callId, afterIndex: 0, idleMs: 5_000 }, calls, signal: never });
  const firstChunk = reading.next();
  void calls.dataChunksArrived(containerId, delivery.attempt, callId, [chunk(1, 100_000), chunk(2, 10)]);
  void calls.dataChunksArrived(containerId, delivery.attempt, callId, [chunk(3, 10)]);
  await calls.outputsArrived([success(delivery, containerId)]);
  const { rows } = await database.owner.query("SELECT idx FROM data_chunk WHERE function_call_id = $1 ORDER BY idx", [callId]);
  expect(rows).toEqual([{ idx: 1 }, { idx: 2 }, { idx: 3 }]);
  expect([(await firstChunk).value?.index, (await reading.next()).value?.index, (await reading.next()).value?.index]).toEqual([1, 2, 3]);
  await reading.return(undefined);
});

test("cancelling ends what waits with a text, and tells the container what it runs", async () => {
  const agents = new FakeAgents();
  const calls = await start(agents);
  const { workspace, functionId } = await workspaceWithFunction();
  const containerId = newContainer();
  calls.inputsRequested(containerId, functionId, 1, 1n);
  const { callId } = await submitCall({ ctx: contextOf(workspace), input: { ...unary(functionId, bytes("")), kind: "map", inputs: [] }, calls });
  await addInputs({ ctx: contextOf(workspace), input: { callId, inputs: [0, 1].map((idx) => ({ idx, payload: bytes("p") })) }, calls });
  await cancelCall({ ctx: contextOf(workspace), input: { callId, terminateContainers: false }, calls });
  const { outputs, unfinishedInputs } = await read(calls, workspace, callId);
  expect(outputs.map(({ idx, result }) => [idx, decodeResult(result).status, decodeResult(result).exception])).toEqual([
    [1, Status.TERMINATED, "The function call was cancelled."],
  ]);
  expect(unfinishedInputs).toBe(1);
  expect(agents.cancelled.map(({ inputId }) => inputId)).toEqual(agents.deliveries.map(({ attempt }) => attempt.inputId));
});

test("an input that is cancelled while its payload is read is cancelled again when it is there", async () => {
  const agents = new FakeAgents();
  const calls = await start(agents);
  const { workspace, functionId } = await workspaceWithFunction();
  const { callId } = await submitCall({ ctx: contextOf(workspace), input: unary(functionId, new Uint8Array(300_000)), calls });
  calls.inputsRequested(newContainer(), functionId, 1, 1n);
  calls.cancelled(callId, { text: "The call was cancelled.", terminateContainers: false });
  expect([agents.deliveries.length, agents.cancelled.length]).toEqual([0, 1]);
  await expect.poll(() => agents.deliveries.length).toBe(1);
  expect(agents.cancelled).toEqual(Array(2).fill(agents.deliveries[0]?.attempt));
});

test("a stopped app's calls all end, running ones too", async () => {
  const agents = new FakeAgents();
  const calls = await start(agents);
  const { workspace, functionId, appId } = await workspaceWithFunction();
  calls.inputsRequested(newContainer(), functionId, 1, 1n);
  const { callId } = await submitCall({ ctx: contextOf(workspace), input: unary(functionId, bytes("x")), calls });
  await calls.cancelApp(appId, "The app was stopped.");
  const { outputs } = await read(calls, workspace, callId);
  expect(outputs.map(({ result }) => decodeResult(result).exception)).toEqual(["The app was stopped."]);
});

test("a function that cannot start fails its inputs after three starts, with what the container said", async () => {
  const calls = await start(new FakeAgents());
  const { workspace, functionId } = await workspaceWithFunction();
  const { callId } = await submitCall({ ctx: contextOf(workspace), input: unary(functionId, bytes("x")), calls });
  for (let n = 0; n < 3; n++) {
    const containerId = newContainer();
    await calls.initFailed(containerId, functionId, makeResult("initFailure", "ImportError: no such module"));
    await calls.containerEnded(containerId, functionId, { reason: "exited", code: 0, message: "" });
  }
  const { outputs } = await read(calls, workspace, callId);
  expect(outputs.map(({ result }) => [decodeResult(result).status, decodeResult(result).exception])).toEqual([
    [Status.INIT_FAILURE, "ImportError: no such module"],
  ]);
});

test("user failures are retried by the function's policy and only the last is shown", async () => {
  const agents = new FakeAgents();
  const calls = await start(agents);
  const { workspace, functionId } = await workspaceWithFunction({ retryMax: 1 });
  const containerId = newContainer();
  const { callId } = await submitCall({ ctx: contextOf(workspace), input: unary(functionId, bytes("x")), calls });
  for (let n = 0; n < 2; n++) {
    calls.inputsRequested(containerId, functionId, 1, BigInt(n));
    await expect.poll(() => agents.deliveries.length).toBe(n + 1);
    const delivery = agents.deliveries[n];
    if (delivery !== undefined) await calls.outputsArrived([arrived(delivery.attempt, containerId, makeResult("failure", `try ${n}`))]);
  }
  const { outputs } = await read(calls, workspace, callId);
  expect(outputs.map(({ result }) => decodeResult(result).exception)).toEqual(["try 1"]);
});

test("running out of memory says so", async () => {
  const agents = new FakeAgents();
  const calls = await start(agents);
  const { workspace, functionId } = await workspaceWithFunction();
  const containerId = newContainer();
  calls.inputsRequested(containerId, functionId, 1, 1n);
  const { callId } = await submitCall({ ctx: contextOf(workspace), input: unary(functionId, bytes("x")), calls });
  await calls.containerEnded(containerId, functionId, { reason: "outOfMemory", code: 137, message: "the container ran out of memory: its limit is 128 MiB" });
  const { outputs } = await read(calls, workspace, callId);
  expect(outputs.map(({ result }) => [decodeResult(result).status, decodeResult(result).exception])).toEqual([
    [Status.KERNEL_OOM_KILL, "The container ran out of memory: its limit is 128 MiB. Ask for more with memory=…"],
  ]);
});

test("an input comes back when its worker is not connected, and goes out when the container asks again", async () => {
  const agents = new FakeAgents();
  const calls = await start(agents);
  const { workspace, functionId } = await workspaceWithFunction();
  const containerId = newContainer();
  agents.isConnected = false;
  calls.inputsRequested(containerId, functionId, 1, 1n);
  await submitCall({ ctx: contextOf(workspace), input: unary(functionId, bytes("x")), calls });
  expect(calls.demand().find((each) => each.functionId === functionId)).toMatchObject({ queuedInputs: 1, runningInputs: 0 });
  agents.isConnected = true;
  calls.inputsRequested(containerId, functionId, 1, 2n);
  await expect.poll(() => agents.deliveries.length).toBe(1);
  expect(Buffer.from(agents.deliveries[0]?.input ?? []).toString()).toBe("x");
});

test("a function or call of another workspace is not found", async () => {
  const calls = await start(new FakeAgents());
  const mine = await workspaceWithFunction();
  const other = await workspaceWithFunction();
  const { callId } = await submitCall({ ctx: contextOf(mine.workspace), input: unary(mine.functionId, bytes("x")), calls });
  const ctx = contextOf(other.workspace);
  await expect(submitCall({ ctx, input: unary(mine.functionId, bytes("x")), calls })).rejects.toMatchObject({ code: "notFound" });
  await expect(read(calls, other.workspace, callId)).rejects.toMatchObject({ code: "notFound" });
  await expect(cancelCall({ ctx, input: { callId, terminateContainers: false }, calls })).rejects.toMatchObject({ code: "notFound" });
  await expect(addInputs({ ctx, input: { callId, inputs: [] }, calls })).rejects.toMatchObject({ code: "notFound" });
  await expect(read(calls, other.workspace, "fc-nonsense")).rejects.toMatchObject({ code: "notFound" });
});

test("a reader without outputs waits its time and learns how many are open", async () => {
  const calls = await start(new FakeAgents());
  const { workspace, functionId } = await workspaceWithFunction();
  const { callId } = await submitCall({ ctx: contextOf(workspace), input: unary(functionId, bytes("x")), calls });
  expect(await read(calls, workspace, callId, 0, 30)).toEqual({ outputs: [], lastSequence: 0, unfinishedInputs: 1 });
});
