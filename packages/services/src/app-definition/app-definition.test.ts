import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { seededRandom } from "@squall/core/random";
import { openLocalDirectory } from "@squall/objects/local-directory";
import { TestClock } from "@squall/testkit/test-clock";
import { type TestDatabase, testDatabase } from "@squall/testkit/test-database";
import { testWorkspace } from "@squall/testkit/test-workspace";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Role, ServiceContext } from "../context.ts";
import { createFunction } from "../function/create.ts";
import { findFunction } from "../function/find.ts";
import { getFunction } from "../function/get.ts";
import { precreateFunction } from "../function/precreate.ts";
import type { FunctionColumns } from "../function/stored-function.ts";
import { getOrCreateImage } from "../image/get-or-create.ts";
import { findMissingFiles } from "../mount/check-files.ts";
import { createMount } from "../mount/create.ts";
import { getClientMount } from "../mount/get-client-mount.ts";
import { putMountFile } from "../mount/put-file.ts";
import { createApp } from "./create.ts";
import { getAppLayout } from "./layout.ts";
import { listApps } from "./list.ts";
import { publishApp } from "./publish.ts";

type Needs = "db" | "objects" | "clock" | "random";

let database: TestDatabase;
let folder: string;
beforeAll(async () => {
  database = await testDatabase();
  folder = mkdtempSync(join(tmpdir(), "squall-objects-"));
});
afterAll(async () => {
  await database.close();
  rmSync(folder, { recursive: true, force: true });
});

let seed = Date.now();

async function newContext(role: Role = "owner", idempotencyKey?: string): Promise<ServiceContext<Needs>> {
  const workspace = await testWorkspace(database);
  const deps = { db: database.db, objects: await openLocalDirectory(folder), clock: new TestClock(1_800_000_000_000), random: seededRandom(seed++) };
  const actor = { kind: "user", userId: workspace.userId, tokenId: undefined, role } as const;
  return { actor, workspace: { id: workspace.id, name: workspace.name }, requestId: "test", idempotencyKey, clientVersion: "1.6.4", deps };
}

async function countQueries(work: () => Promise<unknown>): Promise<number> {
  const before = database.queries().length;
  await work();
  return database.queries().length - before;
}

const plain: FunctionColumns = {
  kind: "function",
  imageId: null,
  mountIds: [],
  secretIds: [],
  milliCpu: 125,
  memoryBytes: 128 << 20,
  gpuType: null,
  gpuCount: 0,
  timeoutMs: 300_000,
  startupTimeoutMs: 300_000,
  minContainers: 0,
  maxContainers: null,
  bufferContainers: 0,
  scaledownWindowMs: 60_000,
  maxConcurrentInputs: 1,
  targetConcurrentInputs: 1,
  batchMaxSize: 0,
  batchLingerMs: 0,
  retryMax: 0,
  retryInitialDelayMs: 0,
  retryMaxDelayMs: 0,
  retryBackoff: 1,
  builderVersion: "2025.06",
  blockNetwork: false,
};
const anApp = { description: "test", environmentName: "", state: "ephemeral", tags: {} } as const;
const hash = (text: string) => createHash("sha256").update(text).digest("hex");

describe("apps", () => {
  test("the same idempotency key makes one app", async () => {
    const ctx = await newContext("owner", "key-1");
    expect(await createApp({ ctx, input: anApp })).toBe(await createApp({ ctx, input: anApp }));
  });

  test("a viewer may not make an app", async () => {
    const ctx = await newContext("viewer");
    await expect(createApp({ ctx, input: anApp })).rejects.toMatchObject({ code: "permissionDenied" });
  });

  test("text that the database cannot store is refused, not a fault of ours", async () => {
    const ctx = await newContext();
    for (const hostile of [{ description: "a\0" }, { tags: { key: "a\0" } }, { environmentName: "a\0" }])
      await expect(createApp({ ctx, input: { ...anApp, ...hostile } })).rejects.toMatchObject({ code: "invalidArgument" });
  });

  test("a list has the newest first, of one environment, with a constant number of queries", async () => {
    const ctx = await newContext();
    const first = await createApp({ ctx, input: anApp });
    const list = () => listApps({ ctx, input: { environmentName: "" } });
    expect((await list()).map(({ id }) => id)).toEqual([first]);
    const queriesForOne = await countQueries(list);
    for (let i = 0; i < 5; i++) await createApp({ ctx, input: { ...anApp, description: `app ${i}` } });
    expect(await countQueries(list)).toBe(queriesForOne);
    expect((await list()).map(({ description }) => description)).toHaveLength(6);
    expect(await listApps({ ctx: await newContext(), input: { environmentName: "" } })).toEqual([]);
  });

  test("an app of another workspace does not exist", async () => {
    const appId = await createApp({ ctx: await newContext(), input: anApp });
    await expect(getAppLayout({ ctx: await newContext(), input: { appId } })).rejects.toMatchObject({ code: "notFound" });
  });

  test("an app publishes its own functions only", async () => {
    const ctx = await newContext();
    const appId = await createApp({ ctx, input: anApp });
    const other = await createApp({ ctx, input: anApp });
    const input = { appId: other, tag: "f", definition: new Uint8Array([1]), columns: plain };
    const { id } = await createFunction({ ctx, input });
    await expect(publishApp({ ctx, input: { appId, state: "ephemeral", functionIds: { f: id }, classIds: {} } })).rejects.toMatchObject({
      code: "invalidArgument",
    });
    await publishApp({ ctx, input: { appId: other, state: "ephemeral", functionIds: { f: id }, classIds: {} } });
    expect(await getAppLayout({ ctx, input: { appId: other } })).toMatchObject({ functionIds: { f: id }, functions: [{ id }] });
  });
});

describe("functions", () => {
  test("a function keeps the id it was precreated with, and its definition unread", async () => {
    const ctx = await newContext();
    const appId = await createApp({ ctx, input: anApp });
    const early = await precreateFunction({ ctx, input: { appId, tag: "f", definition: new Uint8Array([1]), columns: plain } });
    const again = await precreateFunction({ ctx, input: { appId, tag: "f", definition: new Uint8Array([2]), columns: plain } });
    const definition = new Uint8Array([9, 8, 7, 255]);
    const created = await createFunction({ ctx, input: { appId, tag: "f", definition, columns: { ...plain, memoryBytes: 5 * 2 ** 30 } } });
    expect([again.id, created.id]).toEqual([early.id, early.id]);
    const found = await getFunction({ ctx, input: { functionId: early.id } });
    expect(found).toMatchObject({ state: "created", memoryBytes: 5 * 2 ** 30, clientVersion: "1.6.4" });
    expect(new Uint8Array(found.definition)).toEqual(definition);
  });

  test("a function cannot depend on another workspace's image or on an unknown mount", async () => {
    const foreign = await newContext();
    const recognised = { kind: "root", imageKey: "base/test", pythonVersion: "3.11.2" } as const;
    const image = await getOrCreateImage({ ctx: foreign, input: { definition: new Uint8Array([1]), builderVersion: "2025.06", recognised } });
    const ctx = await newContext();
    const appId = await createApp({ ctx, input: anApp });
    const create = (columns: Partial<FunctionColumns>) =>
      createFunction({ ctx, input: { appId, tag: "f", definition: new Uint8Array(), columns: { ...plain, ...columns } } });
    await expect(create({ imageId: image.id })).rejects.toMatchObject({ code: "notFound", publicMessage: expect.stringContaining(image.id) });
    await expect(create({ mountIds: ["mo-000000000000000000000000"] })).rejects.toMatchObject({ code: "notFound" });
  });

  test.each(["", "a/b", "a b", "x".repeat(257), "../f", "\0"])("the function name %j is refused", async (tag) => {
    const ctx = await newContext();
    const appId = await createApp({ ctx, input: anApp });
    await expect(precreateFunction({ ctx, input: { appId, tag, definition: new Uint8Array(), columns: plain } })).rejects.toMatchObject({
      code: "invalidArgument",
    });
  });

  test("a look-up of an unknown app names it", async () => {
    const ctx = await newContext();
    await expect(findFunction({ ctx, input: { appName: "nothing", tag: "f", environmentName: "" } })).rejects.toMatchObject({
      code: "notFound",
      publicMessage: "App 'nothing' not found in environment 'main'.",
    });
  });
});

describe("images", () => {
  test("the same definition is the same image; what needs a build is refused with the reason", async () => {
    const ctx = await newContext();
    const input = { definition: new Uint8Array([4, 2]), builderVersion: "2025.06" };
    const recognised = { kind: "root", imageKey: "base/test", pythonVersion: "3.11.2" } as const;
    const first = await getOrCreateImage({ ctx, input: { ...input, recognised } });
    expect(await getOrCreateImage({ ctx, input: { ...input, recognised } })).toEqual(first);
    const refused = getOrCreateImage({ ctx, input: { ...input, recognised: { kind: "needsBuild", reason: "RUN x cannot be built yet" } } });
    await expect(refused).rejects.toMatchObject({ code: "failedPrecondition", publicMessage: "RUN x cannot be built yet" });
  });
});

describe("mounts", () => {
  test("a workspace that knows a hash but has not uploaded the bytes does not have the file", async () => {
    const ctx = await newContext();
    const sha256 = hash("print(1)");
    await putMountFile({ ctx, input: { sha256, data: Buffer.from("print(1)") } });
    expect(await findMissingFiles({ ctx, input: { sha256: [sha256, hash("other")] } })).toEqual([hash("other")]);
    expect(await findMissingFiles({ ctx: await newContext(), input: { sha256: [sha256] } })).toEqual([sha256]);
  });

  test("bytes that are not what the hash says are refused", async () => {
    const ctx = await newContext();
    await expect(putMountFile({ ctx, input: { sha256: hash("a"), data: Buffer.from("b") } })).rejects.toMatchObject({ code: "invalidArgument" });
  });

  test("the same files are the same mount; a file that was not uploaded is named", async () => {
    const ctx = await newContext();
    const sha256 = hash("x");
    await putMountFile({ ctx, input: { sha256, data: Buffer.from("x") } });
    const files = [{ path: "/root/a.py", sha256, mode: 0o644 }];
    expect(await createMount({ ctx, input: { files } })).toEqual(await createMount({ ctx, input: { files } }));
    const missing = createMount({ ctx, input: { files: [{ path: "/root/b.py", sha256: hash("never"), mode: undefined }] } });
    await expect(missing).rejects.toMatchObject({ code: "failedPrecondition", publicMessage: expect.stringContaining("/root/b.py") });
  });

  test.each(["relative", "/root/../etc/passwd", "/a/./b", "/nul\0", "/", "/x".repeat(3000)])("the path %j is refused", async (path) => {
    const ctx = await newContext();
    await expect(createMount({ ctx, input: { files: [{ path, sha256: hash("x"), mode: undefined }] } })).rejects.toMatchObject({ code: "invalidArgument" });
  });

  test("the client's mount exists for every version, other global mounts do not", async () => {
    const ctx = await newContext();
    const first = await getClientMount({ ctx, input: { name: "modal-client-mount-1.6.4" } });
    expect(await getClientMount({ ctx, input: { name: "modal-client-mount-1.6.4" } })).toEqual(first);
    await expect(getClientMount({ ctx, input: { name: "python-build-standalone.3.12" } })).rejects.toMatchObject({ code: "notFound" });
  });
});
