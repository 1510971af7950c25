import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { countDeath, restartDelayMs } from "./back-off.ts";

/** How often the hold file is looked at while it exists. */
const holdCheckMs = 50;

export interface KeptChildOptions {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly holdFile: string | undefined;
  readonly pidFile: string | undefined;
  readonly onStart: (child: ChildProcess, pid: number) => void;
  readonly onEnd: () => void;
}

/** One child that is started again whenever it ends, until `stop`. */
export class KeptChild {
  readonly #options: KeptChildOptions;
  #child: ChildProcess | undefined;
  #stopping = false;
  #quickDeaths = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: KeptChildOptions) {
    this.#options = options;
  }

  start(): void {
    if (this.#stopping) return;
    const { holdFile, command, env, pidFile } = this.#options;
    if (holdFile && existsSync(holdFile)) {
      this.#startIn(holdCheckMs);
      return;
    }
    const [program, ...args] = command;
    const startedAt = performance.now();
    const child = spawn(program, args, { env, stdio: ["ignore", "inherit", "inherit", "ipc"] });
    this.#child = child;
    child.on("error", (error) => this.#ended(startedAt, error.message));
    child.on("exit", (code, signal) => this.#ended(startedAt, signal ?? `exit code ${code}`));
    if (child.pid === undefined) return;
    if (pidFile) writeFileSync(pidFile, `${child.pid}\n`);
    this.#options.onStart(child, child.pid);
  }

  /** SIGTERM, and SIGKILL after `timeoutMs`. Resolves when the child has ended; it is not started again. */
  async stop(timeoutMs: number): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#timer);
    const child = this.#child;
    if (!child) return;
    const gone = new Promise((resolve) => child.once("exit", resolve));
    const kill = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
    child.kill("SIGTERM");
    await gone;
    clearTimeout(kill);
  }

  #ended(startedAt: number, how: string): void {
    if (!this.#child) return; // "error" and "exit" of the same child
    this.#child = undefined;
    if (this.#options.pidFile) rmSync(this.#options.pidFile, { force: true });
    this.#options.onEnd();
    if (this.#stopping) return;
    this.#quickDeaths = countDeath(this.#quickDeaths, performance.now() - startedAt);
    const delayMs = restartDelayMs(this.#quickDeaths);
    process.stderr.write(`keeper: ${this.#options.name} ended (${how}); next start ${delayMs === 0 ? "now" : `in ${delayMs} ms`}\n`);
    this.#startIn(delayMs);
  }

  #startIn(delayMs: number): void {
    this.#timer = setTimeout(() => this.start(), delayMs);
  }
}
