import { spawn } from "node:child_process";
import { once } from "node:events";
import { access, chmod, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { type EmbeddedPostgres, type EmbeddedPostgresOptions, startEmbeddedPostgres } from "../src/embedded/postgres.ts";
import { migrate } from "../src/migrate.ts";
import { roleUrl } from "../src/role-url.ts";
import { schemaDiff } from "../tools/schema-diff.ts";

let options: EmbeddedPostgresOptions;
let server: EmbeddedPostgres;

beforeAll(async () => {
  const home = await mkdtemp(join(tmpdir(), "squall-db-"));
  await chmod(home, 0o711);
  await mkdir(join(home, "run"), { mode: 0o711 });
  options = { home, run: join(home, "run"), cache: process.env["SQUALL_CACHE"] ?? "/var/cache/squall" };
  server = await startEmbeddedPostgres(options);
});

afterAll(async () => {
  await server.stop();
  await rm(options.home, { recursive: true, force: true });
});

test("several that migrate at once apply every migration once", async () => {
  const applied = await Promise.all([1, 2, 3].map(() => migrate(server.urlFor("owner"))));
  expect(applied.filter((names) => names.length > 0)).toHaveLength(1);
  expect(await query(server.urlFor("owner"), 'SELECT count(*)::int AS n FROM "_prisma_migrations"')).toEqual([{ n: applied.flat().length }]);
});

test("the migrations make exactly the schema that the code was generated from", async () => {
  await migrate(server.urlFor("owner"));
  const difference = await schemaDiff(server.urlFor("owner"));
  expect(difference.replace("-- This is an empty migration.", "").trim()).toBe("");
});

test("squall_app sees no row before it names a workspace, and cannot write the hot tables", async () => {
  await migrate(server.urlFor("owner"));
  await query(server.urlFor("owner"), "INSERT INTO workspace (id, name, created_at_ms) VALUES ('ac-1', 'one', 0)");
  expect(await query(server.urlFor("squall_app"), "SELECT * FROM workspace")).toEqual([]);
  expect(await query(server.urlFor("squall_engine"), "SELECT id FROM workspace")).toEqual([{ id: "ac-1" }]);
  await expect(query(server.urlFor("squall_app"), "DELETE FROM input")).rejects.toThrow(/permission denied/);
  await expect(query(server.urlFor("squall_app"), "SELECT * FROM worker")).rejects.toThrow(/permission denied/);
  await expect(query(server.urlFor("squall_app"), "UPDATE audit_event SET action = ''")).rejects.toThrow(/permission denied/);
});

test("one connection string of an outside database serves both roles", async () => {
  await migrate(server.urlFor("owner"));
  const url = roleUrl(server.urlFor("owner"), "squall_engine");
  expect(await query(url, "SELECT current_user::text AS role")).toEqual([{ role: "squall_engine" }]);
});

test("a killed server starts again, with what was committed", async () => {
  await query(server.urlFor("owner"), "CREATE TABLE kept AS SELECT 7 AS value");
  const ended = new Promise<boolean>((resolve) => server.onExit(({ asked }) => resolve(asked)));
  process.kill(server.pid, "SIGKILL");
  expect(await ended).toBe(false);
  server = await startEmbeddedPostgres(options);
  expect(await query(server.urlFor("owner"), "SELECT value FROM kept")).toEqual([{ value: 7 }]);
});

test("a start while another server has the folder waits for it to shut down, and takes over", async () => {
  const old = server;
  server = await startEmbeddedPostgres(options); // asks the old one to go
  await old.stop();
  expect(await query(server.urlFor("owner"), "SELECT 1 AS value")).toEqual([{ value: 1 }]);
});

test("the server goes when the process that started it is killed", async () => {
  await server.stop();
  const script = `import { startEmbeddedPostgres } from ${JSON.stringify(join(import.meta.dirname, "../src/embedded/postgres.ts"))};
    console.log((await startEmbeddedPostgres(${JSON.stringify(options)})).pid); setInterval(() => {}, 1000);`;
  const starter = spawn(process.execPath, ["--input-type=module", "--eval", script], { stdio: ["ignore", "pipe", "inherit"] });
  const [pid] = await once(starter.stdout, "data");
  starter.kill("SIGKILL");
  await vi.waitFor(() => expect(() => process.kill(Number(String(pid)), 0)).toThrow(/ESRCH/), { timeout: 15_000 });
  server = await startEmbeddedPostgres(options);
});

test("a stop leaves no socket behind", async () => {
  await server.stop();
  await expect(access(join(options.run, "postgres/.s.PGSQL.5432"))).rejects.toThrow(/ENOENT/);
  server = await startEmbeddedPostgres(options);
});

async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}
