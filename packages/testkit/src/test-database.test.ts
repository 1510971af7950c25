import { afterAll, beforeAll, expect, test } from "vitest";
import { type TestDatabase, testDatabase } from "./test-database.ts";
import { testWorkspace } from "./test-workspace.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
});
afterAll(() => database.close());

test("two databases share nothing", async () => {
  const other = await testDatabase();
  await testWorkspace(database);
  const { rows } = await other.owner.query("SELECT count(*)::int AS n FROM workspace");
  expect(rows).toEqual([{ n: 0 }]);
  await other.close();
});

test("a workspace sees its own rows only", async () => {
  const [mine, theirs] = [await testWorkspace(database), await testWorkspace(database)];
  const seen = await database.db.transaction(mine.id, (tx) => tx.environment.findMany());
  expect(seen.map((environment) => environment.workspaceId)).toEqual([mine.id]);
  await expect(
    database.db.transaction(mine.id, (tx) => tx.environment.create({ data: { id: "en-evil", workspaceId: theirs.id, name: "evil", createdAtMs: 0 } })),
  ).rejects.toThrow(/row-level security/);
});

test("the engine sees every workspace and reads numbers", async () => {
  const { id } = await testWorkspace(database);
  const { rows } = await database.db.engine.query("SELECT created_at_ms FROM workspace WHERE id = $1", [id]);
  expect(rows[0]?.created_at_ms).toBeTypeOf("number");
});
