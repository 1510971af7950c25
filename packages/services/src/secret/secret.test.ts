import { randomBytes } from "node:crypto";
import type { Id } from "@squall/core/ids";
import { describe, expect, test } from "vitest";
import { asSystem, inContainer, useServices, withKey, withRole } from "../../test/test-context.ts";
import { finishAppStop } from "../app/finish-stop.ts";
import { stopApp } from "../app/stop.ts";
import { createApp } from "../app-definition/create.ts";
import { findBrokenAudit } from "../audit.ts";
import type { ServiceContext } from "../context.ts";
import { createEnvironment } from "../environment/create.ts";
import { deleteSecret } from "./delete.ts";
import { getSecret } from "./get.ts";
import { type CreateMode, createAppSecret, createSecret, lookUpSecret } from "./get-or-create.ts";
import { listSecrets } from "./list.ts";
import { revealSecrets } from "./reveal.ts";
import { updateSecret } from "./update.ts";

const services = useServices();

const named = (name: string, values: Record<string, string> = { KEY: "value" }, mode: CreateMode = "failIfExists") => ({
  name,
  environmentName: "",
  values,
  mode,
});
const look = (name: string, requiredKeys: readonly string[] = []) => ({ name, environmentName: "", requiredKeys });
const page = (createdBeforeMs?: number, maxItems = 100) => ({ environmentName: "", createdBeforeMs, maxItems });

async function valuesOf(ctx: ServiceContext, secretId: Id<"secret">): Promise<unknown> {
  const [revealed] = await revealSecrets({ ctx: asSystem(ctx), input: { secretIds: [secretId] } });
  return revealed?.values;
}

describe("making one", () => {
  test("a secret answers its keys and never its values", async () => {
    const { ctx } = await services().newWorkspace();
    const secret = await createSecret({ ctx, input: named("db", { PASSWORD: "hunter2", USER: "ann" }) });
    expect(secret).toMatchObject({ name: "db", environmentName: "main", keys: ["PASSWORD", "USER"], version: 1, createdBy: "owner" });
    expect(JSON.stringify(secret)).not.toContain("hunter2");
    expect(await lookUpSecret({ ctx, input: look("db", ["USER"]) })).toEqual(secret);
    expect(await valuesOf(ctx, secret.id)).toEqual({ PASSWORD: "hunter2", USER: "ann" });
  });

  test("a taken name is refused, kept or overwritten, as asked", async () => {
    const { ctx } = await services().newWorkspace();
    const { id } = await createSecret({ ctx, input: named("db", { A: "1" }) });
    await expect(createSecret({ ctx, input: named("db") })).rejects.toMatchObject({ code: "alreadyExists" });
    expect(await createSecret({ ctx, input: named("db", { B: "2" }, "ifMissing") })).toMatchObject({ id, keys: ["A"], version: 1 });
    expect(await createSecret({ ctx, input: named("db", { B: "2" }, "overwrite") })).toMatchObject({ id, keys: ["B"], version: 2 });
    expect(await valuesOf(ctx, id)).toEqual({ B: "2" });
  });

  test("of many that make the same name at once, one wins and the others are told", async () => {
    const { ctx } = await services().newWorkspace();
    const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => createSecret({ ctx, input: named("db") })));
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    for (const outcome of outcomes) if (outcome.status === "rejected") expect(outcome.reason).toMatchObject({ code: "alreadyExists" });
  });

  test("a repeated request answers the same secret; the same key with other values is refused", async () => {
    const { ctx } = await services().newWorkspace();
    const once = withKey(ctx, "key-1");
    const first = await createSecret({ ctx: once, input: named("db") });
    expect(await createSecret({ ctx: once, input: named("db") })).toEqual(first);
    await expect(createSecret({ ctx: once, input: named("db", { KEY: "other" }) })).rejects.toMatchObject({ code: "alreadyExists" });
  });

  test.each(["", "a b", "a/b", "x".repeat(65), "../up", "ap-0123456789ABCDEFGHIJKL", "naïve", "a\0b", "a\nb"])("the name %j is refused", async (name) => {
    const { ctx } = await services().newWorkspace();
    await expect(createSecret({ ctx, input: named(name) })).rejects.toMatchObject({ code: "invalidArgument" });
    await expect(lookUpSecret({ ctx, input: look(name) })).rejects.toMatchObject({ code: "invalidArgument" });
  });

  test.each([{ "": "x" }, { "1A": "x" }, { "A=B": "x" }, { "A B": "x" }, { A: "x\0y" }, { A: "x".repeat(300_000) }])(
    "values that no environment can hold are refused",
    async (values) => {
      const { ctx } = await services().newWorkspace();
      await expect(createSecret({ ctx, input: named("bad", values) })).rejects.toMatchObject({ code: "invalidArgument" });
    },
  );

  test("the key __proto__ is a key like any other", async () => {
    const { ctx } = await services().newWorkspace();
    const values = JSON.parse('{"__proto__": "x"}');
    const { id, keys } = await createSecret({ ctx, input: named("odd", values) });
    expect(keys).toEqual(["__proto__"]);
    expect(JSON.stringify(await valuesOf(ctx, id))).toBe('{"__proto__":"x"}');
  });

  test("the values of an app's own secrets are forgotten when it has stopped", async () => {
    const { ctx } = await services().newWorkspace();
    const appId = await createApp({ ctx, input: { description: "", environmentName: "", state: "ephemeral", tags: {} } });
    const own = await createAppSecret({ ctx, input: { appId, values: { A: "1" } } });
    const kept = await createSecret({ ctx, input: named("kept") });
    await stopApp({ ctx, input: { appId, reason: "test" } });
    expect(await valuesOf(ctx, own.id)).toEqual({ A: "1" });
    await finishAppStop({ ctx, input: { appId } });
    await expect(valuesOf(ctx, own.id)).rejects.toMatchObject({ code: "failedPrecondition" });
    expect(await valuesOf(ctx, kept.id)).toEqual({ KEY: "value" });
  });

  test("a secret of an app has no name, is in no list, and needs a live app", async () => {
    const { ctx } = await services().newWorkspace();
    const appId = await createApp({ ctx, input: { description: "", environmentName: "", state: "ephemeral", tags: {} } });
    const secret = await createAppSecret({ ctx, input: { appId, values: { A: "1" } } });
    expect(secret).toMatchObject({ name: undefined, keys: ["A"] });
    expect((await listSecrets({ ctx, input: page() })).secrets).toEqual([]);
    await services().database.owner.query("UPDATE app SET state = 'stopped' WHERE id = $1", [appId]);
    await expect(createAppSecret({ ctx, input: { appId, values: {} } })).rejects.toMatchObject({ code: "failedPrecondition" });
  });
});

describe("looking up", () => {
  test("an unknown name and a missing key are named", async () => {
    const { ctx } = await services().newWorkspace();
    await expect(lookUpSecret({ ctx, input: look("nothing") })).rejects.toMatchObject({
      code: "notFound",
      publicMessage: expect.stringContaining("Secret 'nothing' not found"),
    });
    await createSecret({ ctx, input: named("db", { A: "1" }) });
    await expect(lookUpSecret({ ctx, input: look("db", ["A", "z"]) })).rejects.toMatchObject({ publicMessage: "Secret is missing key(s): z" });
  });

  test("a name belongs to its environment", async () => {
    const { ctx } = await services().newWorkspace();
    await createEnvironment({ ctx, input: { name: "dev" } });
    await createSecret({ ctx, input: { ...named("db"), environmentName: "dev" } });
    await expect(lookUpSecret({ ctx, input: look("db") })).rejects.toMatchObject({ code: "notFound" });
    expect(await lookUpSecret({ ctx, input: { ...look("db"), environmentName: "dev" } })).toMatchObject({ environmentName: "dev" });
    await expect(lookUpSecret({ ctx, input: { ...look("db"), environmentName: "prod" } })).rejects.toMatchObject({ code: "notFound" });
  });

  test("a list pages from the newest by time, with a constant number of queries", async () => {
    const { ctx } = await services().newWorkspace();
    for (const name of ["a", "b", "c"]) {
      services().deps.clock.advance(1000);
      await createSecret({ ctx, input: named(name) });
    }
    const before = services().database.queries().length;
    const first = await listSecrets({ ctx, input: page(undefined, 2) });
    const cost = services().database.queries().length - before;
    expect(first.secrets.map(({ name }) => name)).toEqual(["c", "b"]);
    const rest = await listSecrets({ ctx, input: page(first.secrets[1]?.createdAtMs, 2) });
    expect(rest.secrets.map(({ name }) => name)).toEqual(["a"]);
    expect(cost).toBe(3);
  });
});

describe("changing and deleting", () => {
  test("an update makes a new version with single keys set and taken away", async () => {
    const { ctx } = await services().newWorkspace();
    const { id } = await createSecret({ ctx, input: named("db", { A: "1", B: "2" }) });
    const changes = [
      { key: "A", value: undefined },
      { key: "C", value: "3" },
    ];
    expect(await updateSecret({ ctx, input: { secretId: id, changes } })).toMatchObject({ version: 2, keys: ["B", "C"] });
    expect(await valuesOf(ctx, id)).toEqual({ B: "2", C: "3" });
  });

  test("updates at once lose nothing", async () => {
    const { ctx } = await services().newWorkspace();
    const { id } = await createSecret({ ctx, input: named("db", {}) });
    await Promise.all(["A", "B", "C", "D"].map((key) => updateSecret({ ctx, input: { secretId: id, changes: [{ key, value: key }] } })));
    expect(await valuesOf(ctx, id)).toEqual({ A: "A", B: "B", C: "C", D: "D" });
  });

  test("a deleted secret is gone with its values, and its name is free", async () => {
    const { ctx } = await services().newWorkspace();
    const { id } = await createSecret({ ctx, input: named("db") });
    await deleteSecret({ ctx, input: { secretId: id } });
    await expect(lookUpSecret({ ctx, input: look("db") })).rejects.toMatchObject({ code: "notFound" });
    await expect(deleteSecret({ ctx, input: { secretId: id } })).rejects.toMatchObject({ code: "notFound" });
    await expect(valuesOf(ctx, id)).rejects.toMatchObject({ code: "failedPrecondition" });
    const { rows } = await services().database.owner.query("SELECT 1 FROM secret_version WHERE secret_id = $1", [id]);
    expect(rows).toEqual([]);
    expect((await createSecret({ ctx, input: named("db") })).id).not.toBe(id);
  });
});

describe("who may", () => {
  test("a viewer reads what is known and changes nothing", async () => {
    const { ctx } = await services().newWorkspace();
    const { id } = await createSecret({ ctx, input: named("db") });
    const viewer = withRole(ctx, "viewer");
    expect(await getSecret({ ctx: viewer, input: { secretId: id } })).toMatchObject({ keys: ["KEY"] });
    const refused = [
      createSecret({ ctx: viewer, input: named("other") }),
      updateSecret({ ctx: viewer, input: { secretId: id, changes: [] } }),
      deleteSecret({ ctx: viewer, input: { secretId: id } }),
    ];
    expect(await codesOf(refused)).toEqual(["permissionDenied", "permissionDenied", "permissionDenied"]);
  });

  test("another workspace's secret does not exist, whatever is done to it", async () => {
    const { ctx: theirs } = await services().newWorkspace();
    const { id } = await createSecret({ ctx: theirs, input: named("db") });
    const { ctx } = await services().newWorkspace();
    const refused = [
      lookUpSecret({ ctx, input: look("db") }),
      getSecret({ ctx, input: { secretId: id } }),
      updateSecret({ ctx, input: { secretId: id, changes: [] } }),
      deleteSecret({ ctx, input: { secretId: id } }),
    ];
    expect(await codesOf(refused)).toEqual(["notFound", "notFound", "notFound", "notFound"]);
    await expect(valuesOf(ctx, id)).rejects.toMatchObject({ code: "failedPrecondition" });
  });

  test("code in a container sees the names of its own environment only, and no values", async () => {
    const { ctx } = await services().newWorkspace();
    await createEnvironment({ ctx, input: { name: "dev" } });
    const other = await createSecret({ ctx, input: { ...named("db"), environmentName: "dev" } });
    const mine = await createSecret({ ctx, input: named("db") });
    const appId = await createApp({ ctx, input: { description: "", environmentName: "", state: "ephemeral", tags: {} } });
    const inside = inContainer(ctx, appId);
    expect((await lookUpSecret({ ctx: inside, input: look("db") })).id).toBe(mine.id);
    await expect(lookUpSecret({ ctx: inside, input: { ...look("db"), environmentName: "dev" } })).rejects.toMatchObject({ code: "notFound" });
    await expect(getSecret({ ctx: inside, input: { secretId: other.id } })).rejects.toMatchObject({ code: "notFound" });
    await expect(createSecret({ ctx: inside, input: named("new") })).rejects.toMatchObject({ code: "permissionDenied" });
    await expect(revealSecrets({ ctx: inside, input: { secretIds: [mine.id] } })).rejects.toMatchObject({ code: "permissionDenied" });
  });
});

describe("at rest", () => {
  test("the database holds none of 1,000 planted values, in no table and no spelling", async () => {
    const { ctx } = await services().newWorkspace();
    const planted = Array.from({ length: 1000 }, () => randomBytes(12).toString("hex"));
    for (let at = 0; at < planted.length; at += 100) {
      const values = Object.fromEntries(planted.slice(at, at + 100).map((value, index) => [`K${index}`, value]));
      await createSecret({ ctx: withKey(ctx, `plant-${at}`), input: named(`planted-${at}`, values) });
    }
    const dump = await dumpDatabase();
    expect(dump).toContain("planted-900");
    const spellings = (value: string) => [value, Buffer.from(value).toString("base64").slice(0, 14), Buffer.from(value).toString("hex")];
    expect(planted.filter((value) => spellings(value).some((text) => dump.includes(text)))).toEqual([]);
  });

  test("a version that was changed, or copied into another secret's row, does not open", async () => {
    const { ctx } = await services().newWorkspace();
    const { owner } = services().database;
    const [a, b] = [await createSecret({ ctx, input: named("a") }), await createSecret({ ctx, input: named("b") })];
    await owner.query(
      `UPDATE secret_version AS mine SET ciphertext = other.ciphertext, nonce = other.nonce, wrapped_key = other.wrapped_key
       FROM secret_version AS other WHERE mine.secret_id = $1 AND other.secret_id = $2`,
      [a.id, b.id],
    );
    await expect(valuesOf(ctx, a.id)).rejects.toThrow();
    await owner.query("UPDATE secret_version SET ciphertext = set_byte(ciphertext, 0, get_byte(ciphertext, 0) # 1) WHERE secret_id = $1", [b.id]);
    await expect(valuesOf(ctx, b.id)).rejects.toThrow();
  });

  test("every change is in the audit log, which shows a removed or altered row", async () => {
    const { ctx, id } = await services().newWorkspace();
    const { owner, db } = services().database;
    const secret = await createSecret({ ctx, input: named("db") });
    await updateSecret({ ctx, input: { secretId: secret.id, changes: [{ key: "B", value: "2" }] } });
    await deleteSecret({ ctx, input: { secretId: secret.id } });
    const { rows } = await owner.query("SELECT action, resource_id FROM audit_event WHERE workspace_id = $1 ORDER BY seq", [id]);
    expect(rows.map((row) => row.action)).toEqual(["secret.created", "secret.changed", "secret.deleted"]);
    const broken = () => db.transaction(id, (tx) => findBrokenAudit(tx, id));
    expect(await broken()).toBeUndefined();
    await owner.query("UPDATE audit_event SET details = '{}' WHERE workspace_id = $1 AND seq = 2", [id]);
    expect(await broken()).toBe(2);
    await owner.query("DELETE FROM audit_event WHERE workspace_id = $1 AND seq <= 2", [id]);
    expect(await broken()).toBe(3);
  });
});

async function codesOf(refused: readonly Promise<unknown>[]): Promise<unknown[]> {
  const outcomes = await Promise.allSettled(refused);
  return outcomes.map((outcome) => (outcome.status === "rejected" ? outcome.reason.code : "allowed"));
}

/** Every row of every table as text, as a stolen dump would have it. */
async function dumpDatabase(): Promise<string> {
  const { owner } = services().database;
  const { rows: tables } = await owner.query<{ name: string }>("SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'");
  const texts: string[] = [];
  for (const { name } of tables) {
    const { rows } = await owner.query<{ row: string }>(`SELECT t::text AS row FROM "${name}" AS t`);
    texts.push(...rows.map(({ row }) => row));
  }
  return texts.join("\n");
}
