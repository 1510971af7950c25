import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { repository } from "../paths.ts";
import { LauncherError } from "../say.ts";

/** Runs `node SCRIPT ARGS` of this repository to its end; its standard error goes through, its standard output is the answer. */
export async function runScript(script: string, args: readonly string[] = [], env: Readonly<Record<string, string>> = {}): Promise<string> {
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", join(repository, script), ...args], {
    cwd: repository,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const chunks: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
  const [code, signal] = await once(child, "close");
  if (code !== 0) throw new LauncherError(`${script} ${args.join(" ")} ended with ${signal ?? code}`);
  return Buffer.concat(chunks).toString().trim();
}

/** Runs a script of a package's package.json by pnpm; all its output goes to standard error. */
export async function runPackageScript(name: string, script: string): Promise<void> {
  const child = spawn("pnpm", ["--silent", "--dir", join(repository, "packages", name), "run", script], { cwd: repository, stdio: ["ignore", 2, 2] });
  const [code, signal] = await once(child, "close");
  if (code !== 0) throw new LauncherError(`${script} of packages/${name} ended with ${signal ?? code}`);
}
