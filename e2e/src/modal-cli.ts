/** Runs the published Modal client, unmodified, against a stack. */
import { type ChildProcess, spawn } from "node:child_process";
import { dirname, join } from "node:path";
import type { ReadyLine } from "./stack.ts";

const python = process.env["SQUALL_CLIENT_PYTHON"] ?? "python3";
const apps = join(import.meta.dirname, "../modal-client/apps");

export interface Finished {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Standard output and error together, in order of arrival. */
  readonly output: string;
}

export interface Running {
  readonly process: ChildProcess;
  readonly output: () => string;
  /** Resolves with the milliseconds since the start at which `text` first stood in the output; fails when the run ends without it. */
  readonly saw: (text: string, withinMs?: number) => Promise<number>;
  readonly finished: Promise<Finished>;
}

/** What a client needs to know of a server. */
export type Server = Pick<ReadyLine, "server_url" | "token_id" | "token_secret">;

export interface ClientOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
}

/** Environment of a client of this stack. Colours off, so that output can be compared; the config file of the machine is not read. */
export function clientEnvironment(stack: Server): Record<string, string> {
  return {
    PATH: `${dirname(python)}:${process.env["PATH"] ?? ""}`,
    HOME: process.env["HOME"] ?? "/root",
    LANG: "C.UTF-8",
    COLUMNS: "200",
    NO_COLOR: "1",
    TERM: "dumb",
    PYTHONUNBUFFERED: "1",
    PYTHONDONTWRITEBYTECODE: "1",
    MODAL_CONFIG_PATH: "/dev/null",
    MODAL_SERVER_URL: stack.server_url,
    MODAL_TOKEN_ID: stack.token_id,
    MODAL_TOKEN_SECRET: stack.token_secret,
  };
}

/** Starts `modal ARGS` in the folder of the test apps. */
export function startModal(stack: ReadyLine, args: readonly string[], options: ClientOptions = {}): Running {
  return start(stack, [python, "-m", "modal", ...args], options);
}

/** Starts a Python program with the client on its path (for programs that use the library rather than the CLI). */
export function startPython(stack: ReadyLine, args: readonly string[], options: ClientOptions = {}): Running {
  return start(stack, [python, ...args], options);
}

/** Runs `modal ARGS` to its end. Ends it after `timeoutMs` (120 s), with code null. */
export function modal(stack: ReadyLine, args: readonly string[], options: ClientOptions = {}): Promise<Finished> {
  return startModal(stack, args, options).finished;
}

/** Runs `modal run FILE::ENTRY` and fails, showing all output, unless it ends with 0. */
export async function modalRun(stack: ReadyLine, target: string, options: ClientOptions & { readonly args?: readonly string[] } = {}): Promise<string> {
  const finished = await modal(stack, ["run", target, ...(options.args ?? [])], options);
  if (finished.code !== 0) throw new Error(`modal run ${target} ended with ${finished.code ?? finished.signal}:\n${finished.output}`);
  return finished.output;
}

/** Runs the only entry point of a file anywhere, with arguments; fails, showing all output, unless it ends with 0. */
export async function modalRunFile(server: Server, file: string, args: readonly string[], options: ClientOptions = {}): Promise<string> {
  const finished = await start(server, [python, "-m", "modal", "run", file, ...args], options).finished;
  if (finished.code !== 0) throw new Error(`modal run ${file} ended with ${finished.code ?? finished.signal}:\n${finished.output}`);
  return finished.output;
}

function start(stack: Server, command: readonly string[], options: ClientOptions): Running {
  const [program = "", ...args] = command;
  const startedAt = performance.now();
  const child = spawn(program, args, { cwd: apps, env: { ...clientEnvironment(stack), ...options.env }, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  const watchers = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      for (const watcher of [...watchers]) watcher();
    });
  }
  const timer = setTimeout(() => child.kill("SIGKILL"), options.timeoutMs ?? 120_000);
  const finished = new Promise<Finished>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      resolve({ code, signal, output });
      for (const watcher of [...watchers]) watcher();
    });
  });
  const saw = (text: string, withinMs = 60_000) =>
    new Promise<number>((resolve, reject) => {
      const settle = (action: () => void) => {
        watchers.delete(look);
        clearTimeout(limit);
        action();
      };
      const limit = setTimeout(() => settle(() => reject(new Error(`did not see ${JSON.stringify(text)} within ${withinMs} ms:\n${output}`))), withinMs);
      const look = () => {
        if (output.includes(text)) settle(() => resolve(performance.now() - startedAt));
        else if (child.exitCode !== null) settle(() => reject(new Error(`ended with ${child.exitCode} without ${JSON.stringify(text)}:\n${output}`)));
      };
      watchers.add(look);
      look();
    });
  return { process: child, output: () => output, saw, finished };
}
