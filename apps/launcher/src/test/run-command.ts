import { spawn } from "node:child_process";
import { once } from "node:events";
import { repository } from "../paths.ts";

export interface Finished {
  readonly code: number | null;
  readonly output: string;
}

export interface CommandOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Show the output as it comes (on standard error), too. */
  readonly isShown: boolean;
  readonly timeoutMs: number;
}

/** Runs a command in the repository to its end; kills its process group after `timeoutMs`. */
export async function runCommand([program = "", ...args]: readonly string[], { env = {}, isShown, timeoutMs }: CommandOptions): Promise<Finished> {
  const child = spawn(program, args, { cwd: repository, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"], detached: true });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      if (isShown) process.stderr.write(text);
    });
  }
  const endGroup = () => {
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) process.kill(-child.pid, "SIGKILL");
  };
  const timer = setTimeout(() => {
    output += `\nended after ${timeoutMs / 1000} s\n`;
    endGroup();
  }, timeoutMs);
  process.on("exit", endGroup);
  const code = await Promise.race([
    once(child, "close").then(([exitCode]) => (typeof exitCode === "number" ? exitCode : null)),
    once(child, "error").then(() => null),
  ]);
  clearTimeout(timer);
  process.off("exit", endGroup);
  return { code, output };
}
