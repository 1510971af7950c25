import { expect, test } from "vitest";
import { useServices } from "../../test/test-context.ts";
import { authenticateToken } from "../token/authenticate.ts";
import { bootstrapWorkspace } from "./bootstrap.ts";

const services = useServices();
const input = { operatorToken: { tokenId: "ak-operator", secret: "as-secret" }, workerToken: "worker-secret" };

test("two starts make one workspace, whose operator signs in as its owner", async () => {
  const { deps, database } = services();
  await bootstrapWorkspace(deps, input);
  await bootstrapWorkspace(deps, input);
  const { rows } = await database.owner.query(
    "SELECT (SELECT count(*)::int FROM workspace) AS workspaces, (SELECT count(*)::int FROM api_token) AS tokens, (SELECT count(*)::int FROM environment) AS environments",
  );
  expect(rows).toEqual([{ workspaces: 1, tokens: 1, environments: 1 }]);
  const caller = await authenticateToken(deps, "ak-operator", "as-secret");
  expect(caller).toMatchObject({ actor: { kind: "user", role: "owner" }, workspace: { name: "main" } });
});

test("a token that was made anew on disk is added", async () => {
  const { deps, database } = services();
  await bootstrapWorkspace(deps, { operatorToken: { tokenId: "ak-second", secret: "as-second" }, workerToken: "second" });
  expect(await authenticateToken(deps, "ak-second", "as-second")).toBeDefined();
  expect((await database.owner.query("SELECT 1 FROM worker_token")).rowCount).toBe(2);
});

test("a wrong secret, an unknown id, a revoked token and a removed member are nobody", async () => {
  const { deps, database } = services();
  expect(await authenticateToken(deps, "ak-operator", "as-wrong")).toBeUndefined();
  expect(await authenticateToken(deps, "ak-nobody", "as-secret")).toBeUndefined();
  expect(await authenticateToken(deps, "ak-operator\0", "as-secret\0")).toBeUndefined();
  await database.owner.query("UPDATE api_token SET revoked_at_ms = 1 WHERE token_id = 'ak-operator'");
  expect(await authenticateToken(deps, "ak-operator", "as-secret")).toBeUndefined();
  await database.owner.query("DELETE FROM membership");
  expect(await authenticateToken(deps, "ak-second", "as-second")).toBeUndefined();
});

test("no token stands in the database as it is", async () => {
  const { rows } = await services().database.owner.query("SELECT t::text AS row FROM api_token AS t UNION ALL SELECT w::text FROM worker_token AS w");
  expect(rows.length).toBeGreaterThan(0);
  expect(rows.map(({ row }) => row).join()).not.toMatch(/as-secret|as-second|worker-secret/);
});
