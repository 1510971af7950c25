import { mkdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { type FileLock, lockFile } from "../file-lock.ts";
import { openInstance } from "../instance.ts";
import { runFolder } from "../paths.ts";
import { LauncherError, say, seconds } from "../say.ts";
import { DatabaseProcess } from "./database-process.ts";
import { waitForHealth } from "./health.ts";
import type { KeeperProcess } from "./keeper-process.ts";
import { endEarlierProcesses, readLauncherPid, recordLauncher, recordProcesses } from "./process-record.ts";
import { agentKeeper, apiKeeper, type ServiceOptions, urlOf } from "./services.ts";

const startTimeoutMs = 60_000;

export type StackOptions = Omit<ServiceOptions, "run" | "instance">;

/** The processes of one instance: PostgreSQL, the api and the agent, the last two under their keepers. */
export class Stack {
  readonly #options: ServiceOptions;
  readonly #lock: FileLock;
  readonly #database: DatabaseProcess;
  #api: KeeperProcess | undefined;
  #agent: KeeperProcess | undefined;
  #stopping = false;

  private constructor(options: ServiceOptions, lock: FileLock) {
    this.#options = options;
    this.#lock = lock;
    this.#database = new DatabaseProcess(options.paths, options.run, process.env["DATABASE_URL"]);
  }

  /** Takes the home for this launcher, ends what a killed one left, and starts nothing yet. Refused while another launcher has the home. */
  static async open(options: StackOptions): Promise<Stack> {
    const { home } = options.paths;
    const instance = openInstance(home);
    const lock = await lockFile(join(home, "lock"), { wait: false });
    if (!lock)
      throw new LauncherError(
        `${home} is in use by another instance (pid ${readLauncherPid(home) ?? "unknown"}). Stop it, or set SQUALL_HOME to another folder.`,
      );
    recordLauncher(home);
    await endEarlierProcesses(home);
    const run = runFolder(instance.name);
    rmSync(run, { recursive: true, force: true });
    mkdirSync(dirname(run), { recursive: true, mode: 0o711 });
    mkdirSync(run, { mode: 0o711 });
    return new Stack({ ...options, run, instance }, lock);
  }

  get instance() {
    return this.#options.instance;
  }

  get home(): string {
    return this.#options.paths.home;
  }

  get serverUrl(): string {
    return urlOf(this.#options.up.host, this.#api?.portOf("public") ?? 0);
  }

  /** Present pids by name; a process between two lives is absent. */
  processes(): Record<string, number> {
    const all = { launcher: process.pid, postgres: this.#database.pid, ...pids("api", this.#api), ...pids("agent", this.#agent) };
    return Object.fromEntries(Object.entries(all).flatMap(([name, pid]) => (pid === undefined ? [] : [[name, pid] as const])));
  }

  /** Starts one after the other, each when the one before is healthy. Rejects when one is not within a minute, or `stop` was called. */
  async start(): Promise<void> {
    await this.#begin("PostgreSQL", () => this.#database.start());
    await this.#begin("api", async () => {
      this.#api = apiKeeper(this.#options, this.#database);
      await this.#api.start(startTimeoutMs);
      await waitForHealth(this.serverUrl, { workers: 0, timeoutMs: startTimeoutMs });
    });
    await this.#begin("agent", async () => {
      this.#agent = agentKeeper(this.#options, this.serverUrl);
      await this.#agent.start(startTimeoutMs);
      await waitForHealth(this.serverUrl, { workers: 1, timeoutMs: startTimeoutMs });
    });
  }

  /** Stops agent, api and PostgreSQL in that order, within 10 s; also while `start` is under way. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#agent?.stop();
    await this.#api?.stop();
    await this.#database.stop();
    rmSync(this.#options.run, { recursive: true, force: true });
    recordProcesses(this.home, {});
    await this.#lock.release();
  }

  async #begin(what: string, start: () => Promise<void>): Promise<void> {
    if (this.#stopping) throw new LauncherError("stopped while it started");
    const startedAt = performance.now();
    await start();
    recordProcesses(this.home, this.processes());
    say(`${what} ready in ${seconds(performance.now() - startedAt)}`);
  }
}

function pids(name: string, keeper: KeeperProcess | undefined): Record<string, number | undefined> {
  return { [`keeper-${name}`]: keeper?.keeperPid, [name]: keeper?.childPid };
}
