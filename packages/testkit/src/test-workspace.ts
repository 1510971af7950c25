import { randomInt } from "node:crypto";
import { type Id, newId } from "@squall/core/ids";
import type { TestDatabase } from "./test-database.ts";

export interface TestWorkspace {
  readonly id: Id<"workspace">;
  readonly name: string;
  /** Of the default environment, named `main`. */
  readonly environmentId: Id<"environment">;
  /** The owner. */
  readonly userId: Id<"user">;
}

const source = { clock: { now: () => Date.now(), monotonic: () => performance.now() }, random: { int: (bound: number) => randomInt(bound) } };

/** A new workspace with an owner and the environment `main`; every test makes its own. */
export async function testWorkspace({ owner }: Pick<TestDatabase, "owner">): Promise<TestWorkspace> {
  const id = newId("workspace", source);
  const name = `w${id.slice(-12).toLowerCase()}`;
  const environmentId = newId("environment", source);
  const userId = newId("user", source);
  const now = Date.now();
  await owner.query("INSERT INTO workspace (id, name, created_at_ms) VALUES ($1, $2, $3)", [id, name, now]);
  await owner.query("INSERT INTO app_user (id, name, created_at_ms) VALUES ($1, 'owner', $2)", [userId, now]);
  await owner.query("INSERT INTO membership (id, workspace_id, user_id, role, created_at_ms) VALUES ($1, $2, $3, 'owner', $4)", [
    newId("membership", source),
    id,
    userId,
    now,
  ]);
  await owner.query("INSERT INTO environment (id, workspace_id, name, is_default, created_at_ms) VALUES ($1, $2, 'main', true, $3)", [environmentId, id, now]);
  return { id, name, environmentId, userId };
}
