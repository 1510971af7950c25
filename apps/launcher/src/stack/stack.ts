import { mkdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import type { UpOptions } from "../arguments.ts";
import { lockFile } from "../file-lock.ts";
import { type Instance, openInstance } from "../instance.ts";
import { type Paths, runFolder } from "../paths.ts";
import { LauncherError, say, seconds } from "../say.ts";
import type { SetupResult } from "../setup/setup.ts";
import { DatabaseProcess } from "./database-process.ts";
import { waitForHealth } from "./health.ts";
import { KeeperProcess } from "./keeper-process.ts";
import { endEarlierProcesses, readLauncherPid, recordLauncher, recordProcesses } from "./process-record.ts";

export interface RunningStack {
  readonly serverUrl: string;
  readonly home: string;
  readonly instance: Instance;
  /** Present pids by name; a process between two lives is absent. */
  readonly processes: () => Record<string, number>;
  /** Stops agent, api and PostgreSQL in that order, within 10 s. */
  readonly stop: () => Promise<void>;
}

const startTimeoutMs = 60_000;
// Together with PostgreSQL's 1.5 s less than the 10 s that a stop may take.
const agentStopMs = 6000;
const apiStopMs = 1500;

/** Starts the processes of one instance and waits until each is healthy. Stops what it started when one fails or `interrupted` resolves. */
export async function startStack(
  paths: Paths,
  options: UpOptions,
  setup: SetupResult,
  interrupted: Promise<"interrupted">,
): Promise<RunningStack | "interrupted"> {
  const instance = openInstance(paths.home);
  const lock = await lockHome(paths.home);
  recordLauncher(paths.home);
  await endEarlierProcesses(paths.home);
  const run = runFolder(instance.name);
  makeRunFolder(run);

  const database = new DatabaseProcess(paths, run, process.env["DATABASE_URL"]);
  let api: KeeperProcess | undefined;
  let agent: KeeperProcess | undefined;
  let stopping = false;
  const processes = () => present({ launcher: process.pid, postgres: database.pid, ...pids("api", api), ...pids("agent", agent) });
  const stop = async () => {
    stopping = true;
    await agent?.stop();
    await api?.stop();
    await database.stop();
    rmSync(run, { recursive: true, force: true });
    recordProcesses(paths.home, {});
    await lock.release();
  };

  const begin = async () => {
    await timed("PostgreSQL", database.start());
    recordProcesses(paths.home, processes());
    if (stopping) throw new LauncherError("interrupted");
    api = apiKeeper({ paths, run, instance, options, database });
    await timed("api", api.start(startTimeoutMs));
    recordProcesses(paths.home, processes());
    const serverUrl = urlOf(options.host, api.portOf("public"));
    await waitForHealth(serverUrl, { workers: 0, timeoutMs: startTimeoutMs });
    if (stopping) throw new LauncherError("interrupted");
    agent = agentKeeper({ paths, run, instance, options, setup, serverUrl });
    await timed("agent", agent.start(startTimeoutMs));
    recordProcesses(paths.home, processes());
    await waitForHealth(serverUrl, { workers: 1, timeoutMs: startTimeoutMs });
    return serverUrl;
  };
  const started = await Promise.race([begin(), interrupted]).catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  if (started === "interrupted") {
    await stop();
    return "interrupted";
  }
  return { serverUrl: started, home: paths.home, instance, processes, stop };
}

async function timed(what: string, start: Promise<void>): Promise<void> {
  const startedAt = performance.now();
  await start;
  say(`${what} ready in ${seconds(performance.now() - startedAt)}`);
}

async function lockHome(home: string) {
  const lock = await lockFile(join(home, "lock"), { wait: false });
  if (lock) return lock;
  throw new LauncherError(`${home} is in use by another instance (pid ${readLauncherPid(home) ?? "unknown"}). Stop it, or set SQUALL_HOME to another folder.`);
}

function makeRunFolder(run: string): void {
  rmSync(run, { recursive: true, force: true });
  mkdirSync(dirname(run), { recursive: true, mode: 0o711 });
  mkdirSync(run, { mode: 0o711 });
}

interface Common {
  readonly paths: Paths;
  readonly run: string;
  readonly instance: Instance;
  readonly options: UpOptions;
}

function commonEnv({ paths, run, instance }: Common): Record<string, string> {
  return {
    SQUALL_HOME: paths.home,
    SQUALL_CACHE: paths.cache,
    SQUALL_RUN: run,
    SQUALL_INSTANCE: instance.name,
    SQUALL_LOG_LEVEL: process.env["SQUALL_LOG_LEVEL"] ?? "info",
  };
}

function apiKeeper(common: Common & { readonly database: DatabaseProcess }): KeeperProcess {
  const { paths, run, options, database } = common;
  return new KeeperProcess({
    name: "api",
    home: paths.home,
    run,
    doors: { public: { host: options.host, port: options.port } },
    env: { ...commonEnv(common), ...database.urls() },
    childEnv: { SQUALL_PUBLIC_URL: urlOf(options.host, "{public.port}") },
    prefix: [],
    main: "apps/api/src/main.ts",
    stopTimeoutMs: apiStopMs,
  });
}

function agentKeeper(common: Common & { readonly setup: SetupResult; readonly serverUrl: string }): KeeperProcess {
  const { paths, run, options, setup, serverUrl } = common;
  return new KeeperProcess({
    name: "agent",
    home: paths.home,
    run,
    doors: {},
    env: { ...commonEnv(common), SQUALL_API_URL: serverUrl, SQUALL_NATIVE: setup.nativePath, SQUALL_FAKE_GPUS: options.fakeGpus.join(",") },
    childEnv: {},
    prefix: [setup.nativePath, "agent-cage", "--"], // a mount namespace of its own, see packages/native
    main: "apps/worker-agent/src/main.ts",
    stopTimeoutMs: agentStopMs,
  });
}

function urlOf(host: string, port: number | string): string {
  const reachable = host === "0.0.0.0" || host === "::" ? "127.0.0.1" : host;
  return `http://${reachable.includes(":") ? `[${reachable}]` : reachable}:${port}`;
}

function pids(name: string, keeper: KeeperProcess | undefined): Record<string, number | undefined> {
  return { [`keeper-${name}`]: keeper?.keeperPid, [name]: keeper?.childPid };
}

function present(values: Readonly<Record<string, number | undefined>>): Record<string, number> {
  return Object.fromEntries(Object.entries(values).flatMap(([name, pid]) => (pid === undefined ? [] : [[name, pid] as const])));
}
