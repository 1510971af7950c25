import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { countDeath, restartDelayMs } from "@squall/keeper/back-off";
import { asMessage, type ToParent } from "@squall/keeper/protocol";
import { repository } from "../paths.ts";
import { LauncherError, say } from "../say.ts";
import { openServiceLog, tailOf } from "./service-log.ts";

/** A child that ended this often before it was ready will not become so. */
const mostStarts = 3;

export interface KeeperProcessOptions {
  /** `api` or `agent`: names the process, its hold file, pid file and log. */
  readonly name: string;
  readonly home: string;
  readonly run: string;
  /** TCP doors: name and address. A port 0 is chosen at the first start and kept. */
  readonly doors: Readonly<Record<string, { readonly host: string; readonly port: number }>>;
  readonly env: Readonly<Record<string, string>>;
  /** Environment of the child in which `{DOOR.port}` is filled in. */
  readonly childEnv: Readonly<Record<string, string>>;
  /** What stands before `node` (a program that execs it). */
  readonly prefix: readonly string[];
  /** Main file of the child, relative to the repository. */
  readonly main: string;
  readonly stopTimeoutMs: number;
}

/** A keeper and the child that it keeps. The launcher starts it again when it dies, with the same doors. */
export class KeeperProcess {
  readonly #options: KeeperProcessOptions;
  readonly #ports = new Map<string, number>();
  #keeper: ChildProcess | undefined;
  #childPid: number | undefined;
  #stopping = false;
  #quickDeaths = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: KeeperProcessOptions) {
    this.#options = options;
  }

  get keeperPid(): number | undefined {
    return this.#keeper?.pid;
  }

  get childPid(): number | undefined {
    return this.#childPid;
  }

  portOf(door: string): number {
    return this.#ports.get(door) ?? 0;
  }

  /** Starts it; resolves when the child said that it is ready. Rejects, with the end of the log, when the keeper ends first or `timeoutMs` pass. */
  async start(timeoutMs: number): Promise<void> {
    if (this.#stopping) throw new LauncherError(`${this.#options.name} was stopped before it started`);
    const keeper = this.#spawn();
    let starts = 0;
    const outcome = new Promise<string | undefined>((resolve) => {
      keeper.on("message", (value) => {
        const message = asMessage<ToParent>(value);
        if (message?.type === "ready") resolve(undefined);
        if (message?.type === "child") starts += 1;
        if (starts > mostStarts) resolve(`ended ${mostStarts} times before it was ready`);
      });
    });
    const signal = AbortSignal.timeout(timeoutMs);
    const late = once(signal, "abort").then(() => `is not ready after ${timeoutMs / 1000} s`);
    const ended = once(keeper, "exit").then(() => "ended before it was ready");
    const fault = await Promise.race([outcome, late, ended]);
    if (fault) throw new LauncherError(`${this.#options.name} ${fault}. The end of its log:\n${tailOf(this.#options.home, this.#options.name)}`);
  }

  /** SIGTERM; resolves when keeper and child have ended. SIGKILL when the keeper itself does not answer. */
  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#timer);
    const keeper = this.#keeper;
    if (!keeper) return;
    const gone = once(keeper, "exit");
    keeper.kill("SIGTERM");
    const kill = setTimeout(() => keeper.kill("SIGKILL"), this.#options.stopTimeoutMs + 500);
    await gone;
    clearTimeout(kill);
  }

  #spawn(): ChildProcess {
    const { name, home, env, prefix } = this.#options;
    const command = [...prefix, process.execPath, ...this.#keeperArgs()];
    const log = openServiceLog(home, name);
    const startedAt = performance.now();
    const keeper = spawn(command[0] ?? "", command.slice(1), {
      cwd: repository,
      env: { ...process.env, ...env },
      stdio: ["ignore", log.fd, log.fd, "ipc"],
      detached: true, // a Ctrl-C in the terminal reaches the launcher only, which stops things in order
    });
    log.close();
    this.#keeper = keeper;
    keeper.on("message", (value) => this.#onMessage(asMessage<ToParent>(value)));
    keeper.on("error", (error) => say(`cannot start ${name}: ${error.message}`));
    keeper.on("exit", (code, signal) => this.#ended(startedAt, signal ?? `exit code ${code}`));
    return keeper;
  }

  #keeperArgs(): string[] {
    const { name, home, run, doors, childEnv, main, stopTimeoutMs } = this.#options;
    return [
      join(repository, "packages/keeper/src/main.ts"),
      ...["--name", name, "--hold", join(home, "hold", name), "--pid-file", join(run, `${name}.pid`), "--stop-timeout-ms", String(stopTimeoutMs)],
      ...Object.entries(doors).flatMap(([door, { host, port }]) => ["--door", `${door}=tcp:${host}:${this.#ports.get(door) ?? port}`]),
      ...Object.entries(childEnv).flatMap(([key, value]) => ["--env", `${key}=${value}`]),
      ...["--", process.execPath, "--disable-warning=ExperimentalWarning", join(repository, main)],
    ];
  }

  #onMessage(message: ToParent | undefined): void {
    if (message?.type === "door") this.#ports.set(message.name, message.port);
    else if (message?.type === "child") this.#childPid = message.pid;
  }

  #ended(startedAt: number, how: string): void {
    this.#keeper = undefined;
    if (this.#stopping) return;
    this.#quickDeaths = countDeath(this.#quickDeaths, performance.now() - startedAt);
    say(`the keeper of ${this.#options.name} ended (${how}); starting it again`);
    this.#timer = setTimeout(() => this.#spawn(), restartDelayMs(this.#quickDeaths));
  }
}
