import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, fromBinary } from "@bufbuild/protobuf";
import { type Id, newId } from "@squall/core/ids";
import type { CallInfo } from "@squall/grpc/handler";
import { openLocalDirectory } from "@squall/objects/local-directory";
import {
  DataFormat,
  FunctionCallInvocationType,
  FunctionCallType,
  FunctionFinishInputsRequestSchema,
  FunctionGetOutputsRequestSchema,
  FunctionInputSchema,
  FunctionMapRequestSchema,
  FunctionPutInputsItemSchema,
  FunctionPutInputsRequestSchema,
  GenericResult_GenericStatus as Status,
} from "@squall/protocol/modal";
import type { ServiceDeps } from "@squall/services/context";
import { KeyRing } from "@squall/services/secret/key-ring";
import { type TestDatabase, testDatabase } from "@squall/testkit/test-database";
import { type TestWorkspace, testWorkspace } from "@squall/testkit/test-workspace";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { type Dispatcher, startDispatcher } from "../agents/dispatch.ts";
import type { InputDelivery } from "../agents/ports.ts";
import type { Call } from "../procedure.ts";
import { makeResult } from "../wire/result.ts";
import { functionCallProcedures } from "./function-call.ts";

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const clock = { now: () => Date.now(), monotonic: () => performance.now() };
const random = { int: (bound: number) => Math.floor(Math.random() * bound) };

let database: TestDatabase;
let folder: string;
let deps: ServiceDeps;
let calls: Dispatcher;
let given: InputDelivery[] = [];
let reasons: string[] = [];
const warnings: string[] = [];

beforeAll(async () => {
  database = await testDatabase();
  folder = await mkdtemp(join(tmpdir(), "sq-calls-"));
  deps = { db: database.db, objects: await openLocalDirectory(folder), keys: new KeyRing(new Uint8Array(32)), clock, random, log: silent };
  const agents = { sendInputs: (_: Id<"container">, __: bigint, inputs: readonly InputDelivery[]) => given.push(...inputs) > 0, cancelInputs: () => true };
  calls = await startDispatcher({ deps, agents: () => agents, owner: "test" });
}, 120_000);
afterEach(() => {
  given = [];
  reasons = [];
  warnings.length = 0;
});
afterAll(async () => {
  await calls.close();
  await database.close();
  await rm(folder, { recursive: true });
});

async function setUp() {
  const workspace = await testWorkspace(database);
  const functionId = await addFunction(workspace, workspace.environmentId);
  const cluster = { whyWaiting: () => reasons, isStarting: () => false, stopApp: async () => {}, stopContainer: async () => {} };
  const rpc = functionCallProcedures({ calls, dispatch: calls, cluster, signingKey: () => new Uint8Array(32) });
  return { rpc, call: callOf(workspace), workspace, functionId, containerId: newId("container", source) };
}

const source = { clock, random };

async function addFunction(workspace: TestWorkspace, environmentId: Id<"environment">): Promise<Id<"function">> {
  const functionId = newId("function", source);
  const appId = newId("app", source);
  await database.owner.query(
    "INSERT INTO app (id, workspace_id, environment_id, description, state, created_at_ms) VALUES ($1, $2, $3, 'test', 'ephemeral', 1)",
    [appId, workspace.id, environmentId],
  );
  await database.owner.query(
    `INSERT INTO function (id, workspace_id, environment_id, app_id, tag, state, definition, kind, milli_cpu, memory_bytes, timeout_ms, startup_timeout_ms,
       scaledown_window_ms, definition_id, created_at_ms) VALUES ($1, $2, $3, $4, 'f', 'created', '', 'function', 125, 1, 1, 1, 1, 'de-1', 1)`,
    [functionId, workspace.id, environmentId, appId],
  );
  return functionId;
}

function callOf(workspace: TestWorkspace): Call {
  const actor = { kind: "user", userId: workspace.userId, tokenId: undefined, role: "owner" } as const;
  const info: CallInfo = {
    path: "",
    headers: {},
    peer: undefined,
    signal: new AbortController().signal,
    timeoutMs: () => undefined,
    setTrailer: () => {},
    setHeader: () => {},
  };
  return {
    ctx: { actor, workspace, requestId: "rq", idempotencyKey: undefined, clientVersion: "1.6.4", deps },
    info,
    requestId: "rq",
    warn: (text) => warnings.push(text),
  };
}

const input = (idx: number) =>
  create(FunctionPutInputsItemSchema, {
    idx,
    input: { argsOneof: { case: "args", value: new Uint8Array([idx]) }, dataFormat: DataFormat.PICKLE, methodName: "m" },
  });

async function answerAll(containerId: Id<"container">): Promise<void> {
  const outputs = given.map(({ attempt }) => ({
    containerId,
    attempt,
    result: makeResult("success", ""),
    dataFormat: 1,
    startedAtMs: 1_500,
    createdAtMs: 2_500,
    origin: "container" as const,
  }));
  given = [];
  await calls.outputsArrived(outputs);
}

function payloadOf(jwt: string): unknown {
  return JSON.parse(Buffer.from(jwt.split(".")[1] ?? "", "base64url").toString());
}

test("a unary call as the Python client makes it", async () => {
  const { rpc, call, functionId, containerId } = await setUp();
  calls.inputsRequested(containerId, functionId, 1, 1n);
  const mapped = await rpc.functionMap.run(
    create(FunctionMapRequestSchema, {
      functionId,
      functionCallType: FunctionCallType.UNARY,
      functionCallInvocationType: FunctionCallInvocationType.SYNC,
      pipelinedInputs: [input(0)],
    }),
    call,
  );
  expect(mapped).toMatchObject({
    syncClientRetriesEnabled: false,
    maxInputsOutstanding: 1000,
    pipelinedInputs: [{ idx: 0, inputId: given[0]?.attempt.inputId }],
  });
  expect(payloadOf(mapped.pipelinedInputs[0]?.inputJwt ?? "")).toMatchObject({ idx: 0 });
  expect(fromBinary(FunctionInputSchema, given[0]?.input ?? new Uint8Array())).toMatchObject({ methodName: "m", argsOneof: { case: "args" } });
  await answerAll(containerId);
  const request = { functionCallId: mapped.functionCallId, timeout: 55, lastEntryId: "0-0", clearOnSuccess: true, startIdx: 0, endIdx: 0 };
  expect(await rpc.functionGetOutputs.run(create(FunctionGetOutputsRequestSchema, request), call)).toMatchObject({
    lastEntryId: "1-0",
    numUnfinishedInputs: 0,
    idxs: [0],
    outputs: [{ idx: 0, retryCount: 0, taskId: containerId, inputStartedAt: 1.5, outputCreatedAt: 2.5, result: { status: Status.SUCCESS } }],
  });
});

test("a map reads on from its last entry, and its final acknowledgement carries nothing again", async () => {
  const { rpc, call, functionId, containerId } = await setUp();
  const { functionCallId } = await rpc.functionMap.run(create(FunctionMapRequestSchema, { functionId, functionCallType: FunctionCallType.MAP }), call);
  const put = (idxs: number[]) =>
    rpc.functionPutInputs.run(create(FunctionPutInputsRequestSchema, { functionId, functionCallId, inputs: idxs.map(input) }), call);
  const first = await put([0]);
  expect(await put([0])).toMatchObject({ inputs: [{ inputId: first.inputs[0]?.inputId }] });
  await put([1, 2]);
  await rpc.functionFinishInputs.run(create(FunctionFinishInputsRequestSchema, { functionId, functionCallId, numInputs: 3 }), call);
  calls.inputsRequested(containerId, functionId, 3, 1n);
  await expect.poll(() => given.length).toBe(3);
  await answerAll(containerId);
  const get = (fields: object) => rpc.functionGetOutputs.run(create(FunctionGetOutputsRequestSchema, { functionCallId, ...fields }), call);
  const some = await get({ timeout: 55, lastEntryId: "0-0", maxValues: 2 });
  expect(some).toMatchObject({ lastEntryId: "2-0", idxs: [0, 1] });
  expect(await get({ timeout: 55, lastEntryId: some.lastEntryId })).toMatchObject({ lastEntryId: "3-0", idxs: [2] });
  expect(await get({ timeout: 0, lastEntryId: "0-0", clearOnSuccess: true })).toMatchObject({ idxs: [] });
  expect(await get({ timeout: 0, lastEntryId: "0-0", startIdx: 1, endIdx: 1 })).toMatchObject({ idxs: [1] });
});

test("who waits for a container is told why, once, and goes on waiting", { timeout: 20_000 }, async () => {
  const { rpc, call, functionId } = await setUp();
  reasons = ["It needs 8 × H100; the largest worker has 2 × A100."];
  const { functionCallId } = await rpc.functionMap.run(
    create(FunctionMapRequestSchema, { functionId, functionCallType: FunctionCallType.UNARY, pipelinedInputs: [input(0)] }),
    call,
  );
  const get = (timeout: number) => rpc.functionGetOutputs.run(create(FunctionGetOutputsRequestSchema, { functionCallId, timeout, lastEntryId: "0-0" }), call);
  expect(await get(55)).toMatchObject({ outputs: [], numUnfinishedInputs: 1, lastEntryId: "0-0" });
  expect(warnings).toEqual(["Waiting for a container: It needs 8 × H100; the largest worker has 2 × A100."]);
  await get(2.1);
  expect(warnings).toHaveLength(1);
});

test("an entry id that is none is refused", async () => {
  const { rpc, call } = await setUp();
  await expect(rpc.functionGetOutputs.run(create(FunctionGetOutputsRequestSchema, { lastEntryId: "x" }), call)).rejects.toMatchObject({
    code: "invalidArgument",
  });
});

test("code in a container reaches functions and calls of its own environment only", async () => {
  const { rpc, call, workspace, functionId, containerId } = await setUp();
  const otherEnvironment = newId("environment", source);
  await database.owner.query("INSERT INTO environment (id, workspace_id, name, created_at_ms) VALUES ($1, $2, 'dev', 1)", [otherEnvironment, workspace.id]);
  const foreignId = await addFunction(workspace, otherEnvironment);
  const map = (id: string) => create(FunctionMapRequestSchema, { functionId: id, functionCallType: FunctionCallType.MAP });
  const { functionCallId: foreignCall } = await rpc.functionMap.run(map(foreignId), call);

  const actor = { kind: "container", containerId, functionId, appId: newId("app", source) } as const;
  const inside: Call = { ...call, ctx: { ...call.ctx, actor } };
  await expect(rpc.functionMap.run(map(functionId), inside)).resolves.toBeDefined();
  await expect(rpc.functionMap.run(map(foreignId), inside)).rejects.toMatchObject({ code: "notFound" });
  const outputs = create(FunctionGetOutputsRequestSchema, { functionCallId: foreignCall ?? "", timeout: 0 });
  await expect(rpc.functionGetOutputs.run(outputs, inside)).rejects.toMatchObject({ code: "notFound" });
});
