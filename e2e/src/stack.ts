/**
 * The running product that a suite talks to: one shared stack per test run (its ready line comes in SQUALL_E2E_STACK), or a stack of its own for
 * suites that kill processes or count what is left behind.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";

export const repository = resolve(import.meta.dirname, "../..");

/** The line that `./squall up --json` prints when all is healthy. */
export interface ReadyLine {
  readonly ready: true;
  readonly server_url: string;
  readonly token_id: string;
  readonly token_secret: string;
  readonly home: string;
  readonly instance: string;
  readonly processes: Readonly<Record<string, number>>;
}

/** The stack that the whole run shares. Never kill its processes. */
export function sharedStack(): ReadyLine {
  const line = process.env["SQUALL_E2E_STACK"];
  if (!line) throw new Error("SQUALL_E2E_STACK is not set: run this suite by ./squall test, or put the line of `./squall up --json` there");
  return JSON.parse(line);
}

export interface OwnStack extends ReadyLine {
  /** Everything the launcher wrote to standard error so far. */
  readonly log: () => string;
  /** SIGINT, as Ctrl-C does; resolves with the exit code once the launcher has ended, fails after 15 s. */
  readonly stop: () => Promise<number | null>;
  readonly launcher: ChildProcess;
}

/** Starts a stack with a temporary home. Set-up is done by then (the launcher of the test run did it), so this takes seconds. */
export async function startStack(options: { readonly fakeGpus?: readonly string[]; readonly home?: string } = {}): Promise<OwnStack> {
  const home = options.home ?? mkdtempSync(join(tmpdir(), "squall-e2e-"));
  const gpus = (options.fakeGpus ?? []).flatMap((gpu) => ["--fake-gpu", gpu]);
  const launcher = spawn("./squall", ["up", "--json", "--port", "0", ...gpus], {
    cwd: repository,
    env: { ...process.env, SQUALL_HOME: home },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let log = "";
  launcher.stderr.setEncoding("utf8").on("data", (text: string) => {
    log += text;
  });
  const forget = () => options.home ?? rmSync(home, { recursive: true, force: true });
  const ready = await readyLine(launcher, () => log).catch((error: unknown) => {
    launcher.kill("SIGINT");
    forget();
    throw error;
  });
  const stop = async () => {
    const ended = once(launcher, "exit", { signal: AbortSignal.timeout(15_000) });
    launcher.kill("SIGINT");
    await ended;
    forget();
    return launcher.exitCode;
  };
  return { ...ready, home, log: () => log, stop, launcher };
}

async function readyLine(launcher: ChildProcess, log: () => string): Promise<ReadyLine> {
  const { stdout } = launcher;
  if (!stdout) throw new Error("the launcher has no standard output");
  const lines = createInterface({ input: stdout });
  const first = once(lines, "line", { signal: AbortSignal.timeout(180_000) }).then(([line]) => JSON.parse(String(line)) as ReadyLine);
  const ended = once(launcher, "exit").then(() => {
    throw new Error(`the launcher ended before it was ready:\n${log()}`);
  });
  return Promise.race([first, ended]);
}

/** Pid of the present child of a keeper (`api`, `agent`): it changes when the child is restarted. */
export function childPid(stack: ReadyLine, name: "api" | "agent"): number {
  return Number(readFileSync(`/run/squall/${stack.instance}/${name}.pid`, "utf8"));
}
