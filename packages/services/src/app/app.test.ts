import { randomInt } from "node:crypto";
import { type Id, newId } from "@squall/core/ids";
import { type TestDatabase, testDatabase } from "@squall/testkit/test-database";
import { type TestWorkspace, testWorkspace } from "@squall/testkit/test-workspace";
import { afterAll, beforeAll, expect, test } from "vitest";
import { listContainers } from "../container/list.ts";
import type { Role, ServiceContext } from "../context.ts";
import { getScaling, updateScaling } from "../function/scaling.ts";
import { disconnectApp } from "./disconnect.ts";
import { finishAppStop } from "./finish-stop.ts";
import { heartbeatApp } from "./heartbeat.ts";
import { listStoppingApps } from "./list-stopping.ts";
import { listAppsWithCaller } from "./list-with-caller.ts";
import { stopApp } from "./stop.ts";

const source = { clock: { now: () => Date.now(), monotonic: () => performance.now() }, random: { int: (bound: number) => randomInt(bound) } };
let database: TestDatabase;

beforeAll(async () => {
  database = await testDatabase();
}, 120_000);
afterAll(async () => database.close());

type Needs = "db" | "clock" | "random";

function contextOf({ id, name, userId }: TestWorkspace, role: Role = "owner"): ServiceContext<Needs> {
  const actor = { kind: "user", userId, tokenId: undefined, role } as const;
  return { actor, workspace: { id, name }, requestId: "rq", idempotencyKey: undefined, clientVersion: undefined, deps: { db: database.db, ...source } };
}

async function newApp(workspace: TestWorkspace, state = "ephemeral"): Promise<Id<"app">> {
  const appId = newId("app", source);
  await database.owner.query("INSERT INTO app (id, workspace_id, environment_id, description, state, created_at_ms) VALUES ($1, $2, $3, 'an app', $4, 1)", [
    appId,
    workspace.id,
    workspace.environmentId,
    state,
  ]);
  return appId;
}

async function newFunction(workspace: TestWorkspace, appId: Id<"app">): Promise<Id<"function">> {
  const functionId = newId("function", source);
  await database.owner.query(
    `INSERT INTO function (id, workspace_id, environment_id, app_id, tag, state, definition, kind, milli_cpu, memory_bytes, timeout_ms, startup_timeout_ms,
       scaledown_window_ms, definition_id, created_at_ms) VALUES ($1, $2, $3, $4, 'f', 'created', '', 'function', 100, 1, 1, 1, 60000, 'de-1', 1)`,
    [functionId, workspace.id, workspace.environmentId, appId],
  );
  return functionId;
}

const stateOf = async (appId: string) => (await database.owner.query("SELECT state, stop_reason FROM app WHERE id = $1", [appId])).rows[0];

test("goodbye stops an ephemeral app, with its reason, and only once", async () => {
  const workspace = await testWorkspace(database);
  const ctx = contextOf(workspace);
  const appId = await newApp(workspace);
  expect(await disconnectApp({ ctx, input: { appId, because: "goodbye", reason: "its entrypoint completed" } })).toEqual({ isStopping: true });
  await disconnectApp({ ctx, input: { appId, because: "lost", reason: "another reason" } });
  expect(await stateOf(appId)).toEqual({ state: "stopping", stop_reason: "its entrypoint completed" });
  expect((await listStoppingApps({ deps: ctx.deps })).filter((app) => app.appId === appId)).toMatchObject([
    { reason: "its entrypoint completed", workspace: { id: workspace.id } },
  ]);
  await finishAppStop({ ctx, input: { appId } });
  await finishAppStop({ ctx, input: { appId } });
  expect(await stateOf(appId)).toMatchObject({ state: "stopped" });
  const { rows } = await database.owner.query("SELECT action FROM audit_event WHERE resource_id = $1 ORDER BY seq", [appId]);
  expect(rows.map((row) => row.action)).toEqual(["app.stopping", "app.stopped"]);
});

test("a detached app outlives its caller, a deployed one does not notice, and both can be stopped", async () => {
  const workspace = await testWorkspace(database);
  const ctx = contextOf(workspace);
  for (const [state, after] of [
    ["detached", "detachedDisconnected"],
    ["deployed", "deployed"],
  ] as const) {
    const appId = await newApp(workspace, state);
    expect(await disconnectApp({ ctx, input: { appId, because: "goodbye", reason: "" } })).toEqual({ isStopping: false });
    expect(await stateOf(appId)).toMatchObject({ state: after });
    await stopApp({ ctx, input: { appId, reason: "stopped by its owner" } });
    expect(await stateOf(appId)).toMatchObject({ state: "stopping" });
  }
});

test("a heartbeat keeps what lives and tells what does not", async () => {
  const workspace = await testWorkspace(database);
  const ctx = contextOf(workspace);
  const appId = await newApp(workspace);
  await heartbeatApp({ ctx, input: { appId } });
  expect((await listAppsWithCaller({ deps: ctx.deps })).map((app) => app.appId)).toContain(appId);
  await stopApp({ ctx, input: { appId, reason: "stopped by its owner" } });
  await expect(heartbeatApp({ ctx, input: { appId } })).rejects.toMatchObject({
    code: "failedPrecondition",
    publicMessage: expect.stringContaining("stopped by its owner"),
  });
  expect((await listAppsWithCaller({ deps: ctx.deps })).map((app) => app.appId)).not.toContain(appId);
});

test("another workspace's app does not exist, and a viewer may stop nothing", async () => {
  const workspace = await testWorkspace(database);
  const appId = await newApp(workspace);
  const stranger = contextOf(await testWorkspace(database));
  const viewer = contextOf(workspace, "viewer");
  const input = { appId, because: "goodbye", reason: "" } as const;
  for (const attempt of [
    () => disconnectApp({ ctx: stranger, input }),
    () => stopApp({ ctx: stranger, input: { appId, reason: "" } }),
    () => heartbeatApp({ ctx: stranger, input: { appId } }),
  ]) {
    await expect(attempt()).rejects.toMatchObject({ code: "notFound" });
  }
  await expect(stopApp({ ctx: viewer, input: { appId, reason: "" } })).rejects.toMatchObject({ code: "permissionDenied" });
  expect(await stateOf(appId)).toMatchObject({ state: "ephemeral" });
});

test("bounds of a function change together or not at all, and only for those who may", async () => {
  const workspace = await testWorkspace(database);
  const ctx = contextOf(workspace);
  const functionId = await newFunction(workspace, await newApp(workspace));
  const none = { minContainers: undefined, maxContainers: undefined, bufferContainers: undefined, scaledownWindowMs: undefined };
  expect(await updateScaling({ ctx, input: { functionId, settings: { ...none, minContainers: 1, maxContainers: 3 } } })).toMatchObject({
    minContainers: 1,
    maxContainers: 3,
  });
  await expect(updateScaling({ ctx, input: { functionId, settings: { ...none, minContainers: 4 } } })).rejects.toMatchObject({ code: "invalidArgument" });
  expect(await getScaling({ ctx, input: { functionId } })).toMatchObject({ minContainers: 1, maxContainers: 3, scaledownWindowMs: 60_000 });
  const stranger = contextOf(await testWorkspace(database));
  await expect(getScaling({ ctx: stranger, input: { functionId } })).rejects.toMatchObject({ code: "notFound" });
  await expect(updateScaling({ ctx: contextOf(workspace, "viewer"), input: { functionId, settings: none } })).rejects.toMatchObject({
    code: "permissionDenied",
  });
});

test("containers are listed to their workspace while they live", async () => {
  const workspace = await testWorkspace(database);
  const appId = await newApp(workspace);
  const functionId = await newFunction(workspace, appId);
  const [live, ended] = [newId("container", source), newId("container", source)];
  for (const [id, state] of [
    [live, "ready"],
    [ended, "exited"],
  ]) {
    await database.owner.query(
      `INSERT INTO container (id, workspace_id, app_id, function_id, state, milli_cpu, memory_bytes, requested_at_ms) VALUES ($1, $2, $3, $4, $5, 1, 1, 7)`,
      [id, workspace.id, appId, functionId, state],
    );
  }
  const input = { appId: undefined, environmentName: "" };
  expect(await listContainers({ ctx: contextOf(workspace), input })).toEqual([
    { containerId: live, appId, appDescription: "an app", requestedAtMs: 7, startedAtMs: undefined },
  ]);
  expect(await listContainers({ ctx: contextOf(workspace), input: { ...input, environmentName: "elsewhere" } })).toEqual([]);
  expect(await listContainers({ ctx: contextOf(await testWorkspace(database)), input })).toEqual([]);
});
