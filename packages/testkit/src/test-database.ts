/** A fresh, migrated database for a suite, on a real PostgreSQL that all suites share. */
import { type ChildProcess, spawn } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { connect, type Socket } from "node:net";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Database } from "@squall/db/database";
import pg from "pg";

const startMs = 90_000;

export interface TestDatabase {
  readonly db: Database;
  /** As the owner of the tables: for what a test prepares or looks up behind the verbs. */
  readonly owner: pg.Pool;
  /** Connection strings by role. */
  readonly urls: { readonly owner: string; readonly app: string; readonly engine: string };
  /** Statements that `db.transaction` has sent so far, transaction control left out. */
  queries(): readonly string[];
  /** Closes the connections and drops the database. */
  close(): Promise<void>;
}

/** Takes 50-100 ms, and some seconds for the first suite of a run. Call in `beforeAll`, and `close` in `afterAll`. */
export async function testDatabase(): Promise<TestDatabase> {
  const server = await reachServer();
  const name = `test_${randomUUID().replaceAll("-", "")}`;
  await asAdmin(server, `CREATE DATABASE ${name} TEMPLATE squall STRATEGY file_copy`);
  const urls = { owner: urlOf(server, "postgres", name), app: urlOf(server, "squall_app", name), engine: urlOf(server, "squall_engine", name) };
  const queries: string[] = [];
  const db = new Database({ appUrl: urls.app, engineUrl: urls.engine, onQuery: (sql) => void (isControl(sql) || queries.push(sql)) });
  const owner = new pg.Pool({ connectionString: urls.owner, max: 2 }).on("error", () => undefined);
  const close = async () => {
    await Promise.all([db.close(), owner.end()]);
    await asAdmin(server, `DROP DATABASE ${name} WITH (FORCE)`);
  };
  return { db, owner, urls, queries: () => queries, close };
}

let reached: Promise<string> | undefined;

/** The folder of the shared server's socket. This process holds on to the server until it ends. */
function reachServer(): Promise<string> {
  reached ??= findOrStartServer();
  return reached;
}

async function findOrStartServer(): Promise<string> {
  const door = `squall-testkit-${schemaHash()}`;
  const deadline = performance.now() + startMs;
  let child: ChildProcess | undefined;
  while (performance.now() < deadline) {
    const socket = await tryConnect(`\0${door}`);
    const address = socket && (await readAddress(socket));
    if (address) return address;
    if (!child || child.exitCode !== null) child = startServer(door);
    await delay(50);
  }
  throw new Error("the test database did not start");
}

/** A server that was started for another schema must not be taken: its template is another. */
function schemaHash(): string {
  const migrations = join(dirname(createRequire(import.meta.url).resolve("@squall/db/migrate")), "../prisma/migrations");
  const hash = createHash("sha256");
  for (const name of readdirSync(migrations, { recursive: true, encoding: "utf8" }).sort()) {
    if (name.endsWith(".sql")) hash.update(name).update(readFileSync(join(migrations, name)));
  }
  return hash.digest("hex").slice(0, 12);
}

function startServer(door: string): ChildProcess {
  const child = spawn(process.execPath, [join(import.meta.dirname, "database-server.ts"), door], { stdio: "ignore", detached: true });
  child.unref();
  return child;
}

function tryConnect(path: string): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect(path, () => resolve(socket)).once("error", () => resolve(undefined));
  });
}

/** Undefined when the server hangs up: it was about to end. */
async function readAddress(socket: Socket): Promise<string | undefined> {
  let text = "";
  try {
    for await (const chunk of socket.setEncoding("utf8").iterator({ destroyOnReturn: false })) {
      text += String(chunk);
      if (text.includes("\n")) break;
    }
  } catch {
    return undefined; // reset: as above
  }
  if (text === "") return undefined;
  if (!text.startsWith("/")) throw new Error(`the test database did not start: ${text}`);
  socket.unref().resume();
  return text.trim();
}

async function asAdmin(server: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: urlOf(server, "postgres", "postgres") });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

function urlOf(socketDir: string, user: string, database: string): string {
  return `postgresql://${user}@localhost/${database}?host=${encodeURIComponent(socketDir)}`;
}

function isControl(sql: string): boolean {
  return /^(BEGIN|COMMIT|ROLLBACK)|set_config/.test(sql);
}
