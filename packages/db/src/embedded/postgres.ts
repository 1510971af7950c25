/** A PostgreSQL of our own: programs from npm, a system user of its own, one unix socket that only root and that user reach, no TCP. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, chown, mkdir, open, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import pg from "pg";
import { installBinaries, type PostgresBinaries } from "./binaries.ts";
import { waitForLeftovers } from "./leftovers.ts";
import { serverSettings } from "./settings.ts";
import { ensureSystemUser, type SystemUser } from "./system-user.ts";

const run = promisify(execFile);
const startMs = 60_000; // crash recovery may replay max_wal_size
const stopMs = 8_000; // the launcher has 10 s in all

/** `owner` makes and migrates the schema; the other two are what the api may be. */
export type DatabaseRole = "owner" | "squall_app" | "squall_engine";

export interface EmbeddedPostgresOptions {
  /** SQUALL_HOME: data lies in `postgres/`, the server's own log in `logs/postgres.log`. Must be passable by others (0711). */
  readonly home: string;
  /** SQUALL_RUN: the socket lies in `postgres/`. */
  readonly run: string;
  /** SQUALL_CACHE: the programs lie in `postgres/<version>`. */
  readonly cache: string;
  /** Added to or replacing `serverSettings`. */
  readonly settings?: Readonly<Record<string, string>>;
}

export interface EmbeddedPostgres {
  /** Of the postmaster. */
  readonly pid: number;
  /** Connection string of the database for this role (of another database of the same server with `database`). */
  urlFor(role: DatabaseRole, database?: string): string;
  /** Fast shutdown: open transactions are rolled back; then, after 8 s, an immediate one. Resolves when the server is gone. */
  stop(): Promise<void>;
  /** Called once when the server ends, asked or not. Calls at once when it has ended already. */
  onExit(listener: (exit: { readonly code: number | null; readonly signal: NodeJS.Signals | null; readonly asked: boolean }) => void): void;
}

/**
 * Starts the server and resolves when it answers and its database `squall` exists. The first start makes the data folder (5 s). Waits for processes
 * that an earlier life left on the folder. The server shuts down by itself when the calling process dies.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const dataDir = join(options.home, "postgres");
  const socketDir = join(options.run, "postgres");
  const user = await ensureSystemUser();
  const binaries = await installBinaries(options.cache);
  await ensureDataDir(binaries, dataDir, user);
  await makeSocketDir(socketDir, user);
  await waitForLeftovers(dataDir);
  const child = await launch(binaries, { dataDir, socketDir, logDir: join(options.home, "logs"), user, settings: { ...serverSettings, ...options.settings } });
  const server = supervise(child, socketDir);
  try {
    await waitUntilReady(server, child);
    await ensureDatabase(server);
  } catch (error) {
    await server.stop();
    throw new Error(`start PostgreSQL in ${dataDir}: ${await lastLines(join(options.home, "logs/postgres.log"))}`, { cause: error });
  }
  return server;
}

async function ensureDataDir(binaries: PostgresBinaries, dataDir: string, user: SystemUser): Promise<void> {
  const present = await stat(dataDir).catch(() => undefined);
  if (present) return;
  const aside = `${dataDir}.new`;
  await rm(aside, { recursive: true, force: true }); // an interrupted first start
  await mkdir(aside, { recursive: true, mode: 0o700 });
  await chown(aside, user.uid, user.gid);
  const initdb = ["-D", aside, "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-instructions"];
  await run("setpriv", [...asUser(user), binaries.initdb, ...initdb], { cwd: "/" });
  await rename(aside, dataDir);
}

async function makeSocketDir(socketDir: string, user: SystemUser): Promise<void> {
  await mkdir(socketDir, { recursive: true, mode: 0o700 });
  await chmod(socketDir, 0o700);
  await chown(socketDir, user.uid, user.gid);
}

async function launch(
  binaries: PostgresBinaries,
  at: { dataDir: string; socketDir: string; logDir: string; user: SystemUser; settings: Readonly<Record<string, string>> },
): Promise<ChildProcess> {
  await mkdir(at.logDir, { recursive: true });
  const log = await open(join(at.logDir, "postgres.log"), "a", 0o600);
  const settings = Object.entries({ ...at.settings, unix_socket_directories: at.socketDir }).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  const args = [...asUser(at.user), "--pdeathsig", "INT", binaries.postgres, "-D", at.dataDir, ...settings];
  // A session of its own: the terminal's Ctrl-C must not reach the server before the api is done with it.
  const child = spawn("setpriv", args, { cwd: "/", stdio: ["ignore", log.fd, log.fd], detached: true });
  await once(child, "spawn");
  await log.close();
  return child;
}

function supervise(child: ChildProcess, socketDir: string): EmbeddedPostgres {
  let asked = false;
  const { pid } = child;
  if (pid === undefined) throw new Error("PostgreSQL has no pid");
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null; asked: boolean }>((resolve) => {
    child.once("exit", (code, signal) => resolve({ code, signal, asked }));
  });
  return {
    pid,
    urlFor: (role, database = "squall") => `postgresql://${role === "owner" ? "postgres" : role}@localhost/${database}?host=${encodeURIComponent(socketDir)}`,
    stop: async () => {
      asked = true;
      child.kill("SIGINT");
      const slow = setTimeout(() => child.kill("SIGQUIT"), stopMs);
      await ended;
      clearTimeout(slow);
    },
    onExit: (listener) => void ended.then(listener),
  };
}

async function waitUntilReady(server: EmbeddedPostgres, child: ChildProcess): Promise<void> {
  const deadline = performance.now() + startMs;
  for (;;) {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error("the server ended while it started");
    const failure = await withClient(server.urlFor("owner", "postgres"), async () => undefined).catch((error: unknown) => error);
    if (failure === undefined) return;
    if (performance.now() > deadline) throw new Error(`no answer within ${startMs} ms`, { cause: failure });
    await delay(20);
  }
}

async function ensureDatabase(server: EmbeddedPostgres): Promise<void> {
  await withClient(server.urlFor("owner", "postgres"), async (client) => {
    const { rowCount } = await client.query("SELECT 1 FROM pg_database WHERE datname = 'squall'");
    if (rowCount === 0) await client.query("CREATE DATABASE squall");
  });
}

async function withClient<T>(url: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}

function asUser(user: SystemUser): string[] {
  return [`--reuid=${user.uid}`, `--regid=${user.gid}`, "--clear-groups"];
}

async function lastLines(path: string): Promise<string> {
  const text = await readFile(path, "utf8").catch(() => "no log");
  return text.trim().split("\n").slice(-5).join(" | ");
}
