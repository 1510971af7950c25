/** Contexts for tests of verbs: real database, real objects, a clock that stands still. */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Id, newId } from "@squall/core/ids";
import { seededRandom } from "@squall/core/random";
import { openLocalDirectory } from "@squall/objects/local-directory";
import { TestClock } from "@squall/testkit/test-clock";
import { type TestDatabase, testDatabase } from "@squall/testkit/test-database";
import { type TestWorkspace, testWorkspace } from "@squall/testkit/test-workspace";
import { afterAll, beforeAll } from "vitest";
import type { Actor, Role, ServiceContext, ServiceDeps } from "../src/context.ts";
import { KeyRing } from "../src/secret/key-ring.ts";

export interface TestServices {
  readonly database: TestDatabase;
  readonly deps: ServiceDeps & { readonly clock: TestClock };
  /** A workspace of its own, seen by its owner. */
  newWorkspace(): Promise<TestWorkspace & { readonly ctx: ServiceContext }>;
}

const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

/** Call at the top of a suite; what it answers may be used inside tests. */
export function useServices(): () => TestServices {
  let services: TestServices | undefined;
  let folder: string;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "squall-services-"));
    const database = await testDatabase();
    const objects = await openLocalDirectory(folder);
    const random = seededRandom(randomBytes(6).readUIntBE(0, 6)); // ids must differ between suites, not repeat
    const deps = { db: database.db, objects, keys: new KeyRing(randomBytes(32)), clock: new TestClock(), random, log: silent };
    services = { database, deps, newWorkspace: () => newWorkspace(database, deps) };
  });
  afterAll(async () => {
    await services?.database.close();
    rmSync(folder, { recursive: true, force: true });
  });
  return () => {
    if (!services) throw new Error("services are ready inside tests only");
    return services;
  };
}

async function newWorkspace(database: TestDatabase, deps: TestServices["deps"]): ReturnType<TestServices["newWorkspace"]> {
  const workspace = await testWorkspace(database);
  const actor: Actor = { kind: "user", userId: workspace.userId, tokenId: undefined, role: "owner" };
  const names = { id: workspace.id, name: workspace.name };
  return { ...workspace, ctx: { actor, workspace: names, requestId: "test", idempotencyKey: undefined, clientVersion: "1.6.4", deps } };
}

/** The same caller with another role. */
export function withRole(ctx: ServiceContext, role: Role): ServiceContext {
  if (ctx.actor.kind !== "user") throw new Error("only users have roles");
  return { ...ctx, actor: { ...ctx.actor, role } };
}

/** User code inside a container of this app. */
export function inContainer(ctx: ServiceContext, appId: Id<"app">): ServiceContext {
  return { ...ctx, actor: { kind: "container", containerId: newId("container", ctx.deps), functionId: newId("function", ctx.deps), appId } };
}

/** The control plane itself. */
export function asSystem(ctx: ServiceContext): ServiceContext {
  return { ...ctx, actor: { kind: "system", name: "test" } };
}

/** The same request with an idempotency key. */
export function withKey(ctx: ServiceContext, idempotencyKey: string): ServiceContext {
  return { ...ctx, idempotencyKey };
}
