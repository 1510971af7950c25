import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { repository } from "../paths.ts";
import { LauncherError } from "../say.ts";

const readyTimeoutMs = 180_000;
const stopTimeoutMs = 15_000;

export interface SharedStack {
  /** The line of `up --json`. */
  readonly readyLine: string;
  /** SIGINT, as Ctrl-C; fails when it does not end with 0 in 15 s. */
  readonly stop: () => Promise<void>;
}

/** Starts the stack that all end-to-end suites share: a free port, a temporary home, two pretended GPUs. */
export async function startSharedStack(): Promise<SharedStack> {
  const home = mkdtempSync(join(tmpdir(), "squall-test-home-"));
  const launcher = spawn(join(repository, "squall"), ["up", "--json", "--port", "0", "--fake-gpu", "A100=2"], {
    cwd: repository,
    env: { ...process.env, SQUALL_HOME: home },
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
  });
  const ended = once(launcher, "exit");
  const stop = async () => {
    const kill = setTimeout(() => launcher.kill("SIGKILL"), stopTimeoutMs);
    launcher.kill("SIGINT");
    const [code] = await ended;
    clearTimeout(kill);
    rmSync(home, { recursive: true, force: true });
    if (code !== 0) throw new LauncherError(`the stack of the tests ended with ${code ?? "SIGKILL after 15 s"}`);
  };
  const line = once(createInterface({ input: launcher.stdout }), "line").then(([text]) => String(text));
  const late = once(AbortSignal.timeout(readyTimeoutMs), "abort").then(() => undefined);
  const readyLine = await Promise.race([line, late, ended.then(() => undefined)]);
  if (readyLine !== undefined) return { readyLine, stop };
  if (launcher.exitCode === null) await stop().catch(() => {});
  throw new LauncherError("the stack of the tests did not come up");
}
