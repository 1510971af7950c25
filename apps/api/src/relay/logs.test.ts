import { appendFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { asId, type Id, newId } from "@squall/core/ids";
import type { CallInfo } from "@squall/grpc/handler";
import { statusCode } from "@squall/grpc/handler";
import { type LogAck, type LogMessage, LogMessageSchema } from "@squall/protocol/agent";
import { AppGetLogsRequestSchema, type TaskLogsBatch } from "@squall/protocol/modal";
import type { ServiceContext } from "@squall/services/context";
import { encodeLogFrame } from "@squall/streams/log-frames";
import { type TestDatabase, testDatabase } from "@squall/testkit/test-database";
import { type TestWorkspace, testWorkspace } from "@squall/testkit/test-workspace";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ByteQueue } from "../agents/byte-queue.ts";
import { logProcedures } from "../grpc/log.ts";
import { type Logs, openLogs } from "./logs.ts";

const clock = { now: () => Date.now(), monotonic: () => performance.now() };
const source = { clock, random: { int: (bound: number) => Math.floor(Math.random() * bound) } };
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const workerId = newId("worker", source);
const sessions = { sessionOf: (session: string) => (session === "s1" ? { workerId } : undefined) };

let database: TestDatabase;
let directory: string;
let logs: Logs;
const opened: Logs[] = [];
beforeAll(async () => {
  database = await testDatabase();
  directory = mkdtempSync(join(tmpdir(), "squall-logs-"));
  logs = await reopened();
}, 120_000);
afterAll(async () => {
  for (const one of opened) await one.close();
  await database.close();
  rmSync(directory, { recursive: true });
});

/** As a restarted api would open them. */
const reopened = async () => {
  const one = await openLogs({ directory, deps: { db: database.db, clock, log: silent } });
  opened.push(one);
  return one;
};

async function newApp() {
  const workspace = await testWorkspace(database);
  const appId = newId("app", source);
  const statement = "INSERT INTO app (id, workspace_id, environment_id, description, state, created_at_ms) VALUES ($1, $2, $3, 'test', 'ephemeral', 1)";
  await database.owner.query(statement, [appId, workspace.id, workspace.environmentId]);
  return { workspace, appId, containerId: await newContainer(workspace, appId) };
}

async function newContainer(workspace: TestWorkspace, appId: Id<"app">, on: Id<"worker"> = workerId): Promise<Id<"container">> {
  const containerId = newId("container", source);
  await database.owner.query(
    `INSERT INTO container (id, workspace_id, app_id, function_id, worker_id, state, milli_cpu, memory_bytes, requested_at_ms, started_at_ms)
     VALUES ($1, $2, $3, $4, $5, 'ready', 1, 1, 1, 1)`,
    [containerId, workspace.id, appId, newId("function", source), on],
  );
  return containerId;
}

/** A worker's stream. `log` sends bytes at the place where the last ones ended. */
function ship(into: Logs, session = "s1") {
  const messages = new ByteQueue<LogMessage>(1 << 30);
  messages.push(create(LogMessageSchema, { session }), 0);
  const acks = into.receive(messages, { signal: new AbortController().signal }, sessions)[Symbol.asyncIterator]();
  const offsets = new Map<string, number>();
  const send = (containerId: string, message: { offset: number; frames?: Uint8Array; end?: boolean }) =>
    messages.push(create(LogMessageSchema, { containerId, ...message, offset: BigInt(message.offset) }), 0);
  const log = (containerId: string, text: string | Uint8Array, stream = 1) => {
    const frames = encodeLogFrame({ atMs: 1_500, stream, data: Buffer.from(text) });
    const offset = offsets.get(containerId) ?? 0;
    offsets.set(containerId, offset + frames.length);
    send(containerId, { offset, frames });
    return offset + frames.length;
  };
  const end = (containerId: string) => send(containerId, { offset: offsets.get(containerId) ?? 0, end: true });
  const acked = async (containerId: string, offset: number) => {
    for (let ack = await acks.next(); ; ack = await acks.next()) {
      const value: LogAck | undefined = ack.value;
      if (!value) throw new Error("the stream has ended");
      if (value.containerId === containerId && Number(value.offset) >= offset) return Number(value.offset);
    }
  };
  return { log, end, send, acked, close: () => messages.end(), acks };
}

function contextOf(workspace: TestWorkspace): ServiceContext<"db"> {
  const actor = { kind: "user", userId: workspace.userId, tokenId: undefined, role: "viewer" } as const;
  return {
    actor,
    workspace: { id: workspace.id, name: workspace.name },
    requestId: "r",
    idempotencyKey: undefined,
    clientVersion: undefined,
    deps: { db: database.db },
  };
}

/** AppGetLogs as a client of this workspace follows it. */
function follow(
  from: Logs,
  workspace: TestWorkspace,
  request: { appId?: string; taskId?: string; functionId?: string; timeout?: number; lastEntryId?: string },
) {
  const aborter = new AbortController();
  const info = { signal: aborter.signal } as CallInfo;
  const call = { ctx: contextOf(workspace) as ServiceContext, info, requestId: "r", warn: () => {} };
  const { appGetLogs } = logProcedures(from);
  const stream = appGetLogs.run(create(AppGetLogsRequestSchema, { timeout: 30, ...request }), call)[Symbol.asyncIterator]();
  return { next: async () => (await stream.next()).value as TaskLogsBatch | undefined, stop: () => aborter.abort(), stream };
}

async function all(from: Logs, workspace: TestWorkspace, request: Parameters<typeof follow>[2]) {
  const { next } = follow(from, workspace, { timeout: 0, ...request });
  const batches: TaskLogsBatch[] = [];
  for (let batch = await next(); batch; batch = await next()) batches.push(batch);
  return { batches, text: batches.flatMap(({ items }) => (items ?? []).map(({ data }) => data)).join(""), last: batches.at(-1)?.entryId ?? "" };
}

test("what a worker ships is pushed to who follows, with its container, time and stream", async () => {
  const { workspace, appId, containerId } = await newApp();
  const reader = follow(logs, workspace, { appId });
  const worker = ship(logs);
  const first = reader.next();
  await worker.acked(containerId, worker.log(containerId, "hello\n"));
  expect(await first).toMatchObject({ taskId: containerId, items: [{ data: "hello\n", timestamp: 1.5, fileDescriptor: 1 }] });
  worker.log(containerId, "oops\n", 2);
  expect(await reader.next()).toMatchObject({ items: [{ data: "oops\n", fileDescriptor: 2 }] });
  reader.stop();
});

test("a reader goes on after its last entry, also in the middle of a character and after a restart", async () => {
  const { workspace, appId, containerId } = await newApp();
  const worker = ship(logs);
  const snowman = Buffer.from("☃");
  await worker.acked(containerId, worker.log(containerId, Buffer.concat([Buffer.from("one "), snowman.subarray(0, 1)])));
  const before = await all(logs, workspace, { appId });
  expect(before.text).toBe("one ");
  await worker.acked(containerId, worker.log(containerId, Buffer.concat([snowman.subarray(1), Buffer.from(" two")])));
  const { appGetLogs } = logProcedures(logs);
  expect(appGetLogs.access).toEqual({ resource: "log", action: "read" });
  expect((await all(logs, workspace, { appId })).text).toBe("one ☃ two");
  const after = await all(await reopened(), workspace, { appId, lastEntryId: before.last });
  expect(after.text).toContain(" two");
  expect((await all(logs, workspace, { appId, lastEntryId: after.last })).text).toBe("");
});

test("bytes that come twice are stored once, and the answer says where to go on", async () => {
  const { workspace, appId, containerId } = await newApp();
  const first = ship(logs);
  const end = first.log(containerId, "a");
  await first.acked(containerId, end);
  first.close();
  const second = ship(logs); // knows nothing of the first's acknowledgement
  second.log(containerId, "a");
  expect(await second.acked(containerId, 0)).toBe(end);
  await second.acked(containerId, second.log(containerId, "b"));
  expect((await all(logs, workspace, { appId })).text).toBe("ab");
});

test("the end is told once the app has ended and every container's log is whole", async () => {
  const { workspace, appId, containerId } = await newApp();
  const worker = ship(logs);
  await worker.acked(containerId, worker.log(containerId, "working\n"));
  const reader = follow(logs, workspace, { appId });
  expect(await reader.next()).toMatchObject({ items: [{ data: "working\n" }] });
  logs.appEnded(appId);
  const next = reader.next();
  worker.log(containerId, "last words\n");
  expect(await next).toMatchObject({ items: [{ data: "last words\n" }] });
  worker.end(containerId);
  const done = await reader.next();
  expect(done).toMatchObject({ appDone: true });
  expect(await reader.next()).toBeUndefined();
  await database.owner.query("UPDATE app SET state = 'stopped' WHERE id = $1", [appId]);
  const later = await all(await reopened(), workspace, { appId });
  expect([later.text, later.batches.at(-1)?.appDone]).toEqual(["working\nlast words\n", true]);
});

test("a container whose log never ends does not hold the end up for long", async () => {
  const { workspace, appId } = await newApp();
  logs.appEnded(appId);
  const reader = follow(logs, workspace, { appId });
  expect(await reader.next()).toMatchObject({ appDone: true });
});

test("a stream is held for the whole time-out and then ends without an error", async () => {
  const { workspace, appId } = await newApp();
  const started = performance.now();
  const { next } = follow(logs, workspace, { appId, timeout: 0.3 });
  expect(await next()).toBeUndefined();
  expect(performance.now() - started).toBeGreaterThanOrEqual(290);
});

test("what a crash left out of the feed is put in again", async () => {
  const { workspace, appId, containerId } = await newApp();
  const worker = ship(logs);
  await worker.acked(containerId, worker.log(containerId, "known\n"));
  appendFileSync(join(directory, containerId), encodeLogFrame({ atMs: 1, stream: 1, data: Buffer.from("synced, not fed\n") }));
  appendFileSync(join(directory, `${appId}.feed`), '{"kind":"bytes","conta'); // the line that the crash cut
  const after = await reopened();
  expect((await all(after, workspace, { appId })).text).toBe("known\nsynced, not fed\n");
  expect((await all(await reopened(), workspace, { appId })).text).toBe("known\nsynced, not fed\n");
});

test("lines of ours stand among the others, as information", async () => {
  const { workspace, appId, containerId } = await newApp();
  const worker = ship(logs);
  await worker.acked(containerId, worker.log(containerId, "a\n"));
  logs.appendSystemLine(appId, asId("function", "fu-0000000000000000000001"), "f waits: 8 × H100");
  const reader = follow(logs, workspace, { appId });
  await reader.next();
  expect(await reader.next()).toMatchObject({ functionId: "fu-0000000000000000000001", items: [{ data: "f waits: 8 × H100\n", fileDescriptor: 3 }] });
  reader.stop();
});

test("a container, a function or a stream can be followed alone", async () => {
  const { workspace, appId, containerId } = await newApp();
  const other = await newContainer(workspace, appId);
  const worker = ship(logs);
  await worker.acked(containerId, worker.log(containerId, "mine "));
  await worker.acked(other, worker.log(other, "other's"));
  expect((await all(logs, workspace, { taskId: other })).text).toBe("other's");
  expect((await all(logs, workspace, { appId, taskId: containerId })).text).toBe("mine ");
});

test("dropped output is said", async () => {
  const { workspace, appId, containerId } = await newApp();
  const worker = ship(logs);
  const mark = new Uint8Array(8);
  new DataView(mark.buffer).setBigUint64(0, 4096n, true);
  await worker.acked(containerId, worker.log(containerId, mark, 0));
  expect((await all(logs, workspace, { appId })).text).toContain("4096 bytes of output were dropped");
});

test("apps and containers of other workspaces are not found, whatever id is asked", async () => {
  const { appId, containerId } = await newApp();
  const stranger = await newApp();
  for (const request of [{ appId }, { taskId: containerId }, { appId: "" }, { appId: "ap-none" }]) {
    await expect(follow(logs, stranger.workspace, request).next(), JSON.stringify(request)).rejects.toMatchObject({ code: "notFound" });
  }
});

test("a worker cannot write the log of another's container, and is not left waiting", async () => {
  const { workspace, appId } = await newApp();
  const foreign = await newContainer(workspace, appId, newId("worker", source));
  const worker = ship(logs);
  const end = worker.log(foreign, "forged");
  expect(await worker.acked(foreign, end)).toBe(end);
  expect((await all(logs, workspace, { appId })).text).toBe("");
});

test("a stream without a session, or with bytes that are no frames, is refused", async () => {
  await expect(ship(logs, "other").acks.next()).rejects.toMatchObject({ code: statusCode.unauthenticated });
  const { containerId } = await newApp();
  const worker = ship(logs);
  worker.send(containerId, { offset: 0, frames: Uint8Array.of(1, 2, 3) });
  await expect(worker.acks.next()).rejects.toMatchObject({ code: statusCode.invalidArgument });
});

test("many containers at once lose nothing and keep their order", async () => {
  const { workspace, appId } = await newApp();
  const containers = await Promise.all(Array.from({ length: 8 }, () => newContainer(workspace, appId)));
  const worker = ship(logs);
  const ends = containers.map((containerId) => {
    let end = 0;
    for (let line = 0; line < 200; line++) end = worker.log(containerId, `${line}\n`);
    return { containerId, end };
  });
  const waiting = new Map(ends.map(({ containerId, end }) => [containerId as string, end]));
  while (waiting.size > 0) {
    const { value } = await worker.acks.next();
    if (value && Number(value.offset) >= (waiting.get(value.containerId) ?? Number.POSITIVE_INFINITY)) waiting.delete(value.containerId);
  }
  const expected = Array.from({ length: 200 }, (_, line) => `${line}\n`).join("");
  for (const containerId of containers) expect((await all(logs, workspace, { taskId: containerId })).text).toBe(expected);
});
