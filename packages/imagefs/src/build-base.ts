/**
 * Builds the base root file system from this machine's Debian mirror, once per recipe: `node build-base.ts [--cache DIR]`, or `buildBase` from code.
 * Environment: SQUALL_CACHE (where trees lie), SQUALL_TOOLCHAIN_PYTHON (a Python with pip that reaches the package index; default python3).
 */
import { execFile, spawn } from "node:child_process";
import { access, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { parseArgs, promisify } from "node:util";
import { baseRecipePath, pythonBase, treePathOf } from "./base-image.ts";
import { debianMirrors, sourceLines } from "./debian-mirror.ts";
import { runExclusively } from "./exclusive.ts";
import { describeProgress, type Progress, startProgress, step } from "./progress.ts";

const run = promisify(execFile);

export interface BuildBaseOptions {
  readonly cacheDir: string;
  readonly toolchainPython: string;
  /** Gets one line for people every few seconds, with numbers. */
  readonly report: (line: string) => void;
}

/**
 * Makes sure that the base tree is there and returns its path. Takes under a minute the first time; an interrupted build goes on after its last
 * finished step; a second builder waits for the first. Needs root. Rejects with the last lines of the failing step.
 */
export async function buildBase(options: BuildBaseOptions): Promise<string> {
  const target = treePathOf(options.cacheDir, pythonBase.imageKey);
  if (await exists(target)) return target;
  const work = join(dirname(target), `.building-${basename(target)}`);
  await mkdir(work, { recursive: true });
  await runExclusively({ lockPath: `${work}.lock`, waiting: () => options.report("base image: another process is building it, waiting") }, async () => {
    if (await exists(target)) return;
    await mkdir(join(work, "wheels"), { recursive: true });
    options.report("base image: step 1 of 5, fetching Python tools");
    await fetchWheels(options.toolchainPython, join(work, "wheels"));
    await writeFile(join(work, "sources"), sourceLines(debianMirrors(await aptSources()), pythonBase.debian));
    await writeFile(join(work, "apt.conf"), await aptSettings());
    await makeRoot({ work, target, report: options.report });
    await rm(work, { recursive: true, force: true });
  });
  return target;
}

/** With the machine's own pip, so that its index, certificates and proxies count without ever entering the tree. */
async function fetchWheels(python: string, into: string): Promise<void> {
  const target = ["--python-version", pythonBase.series, "--implementation", "cp", "--platform", "manylinux2014_x86_64", "--only-binary", ":all:"];
  await run(python, ["-m", "pip", "download", "--quiet", "--disable-pip-version-check", ...target, "--dest", into, "pip", "wheel", "uv", "setuptools"]);
}

async function aptSources(): Promise<{ name: string; text: string }[]> {
  const parts = await readdir("/etc/apt/sources.list.d").catch(() => []);
  const paths = ["/etc/apt/sources.list", ...parts.filter((name) => /\.(list|sources)$/.test(name)).map((name) => `/etc/apt/sources.list.d/${name}`)];
  const read = paths.map(async (name) => ({ name, text: await readFile(name, "utf8").catch(() => "") }));
  return Promise.all(read);
}

/** How this machine fetches: proxies, certificates, clock checks. Nothing else of its apt settings may shape the tree. */
async function aptSettings(): Promise<string> {
  const { stdout } = await run("apt-config", ["dump"]);
  const lines = stdout.split("\n").filter((line) => /^Acquire::(https?|Check-Valid-Until|Check-Date|Retries|ForceIPv4)\b/.test(line) && !line.endsWith('"";'));
  return `${lines.join("\n")}\n`;
}

/** Runs the script in mount and pid namespaces of its own: however it ends, its mounts and processes end too. */
async function makeRoot({ work, target, report }: { work: string; target: string; report: (line: string) => void }): Promise<void> {
  const environment = {
    PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    LANG: "C.UTF-8",
    WORK: work,
    TARGET: target,
    SOURCES: join(work, "sources"),
    APT: join(work, "apt.conf"),
    WHEELS: join(work, "wheels"),
    PYTHON_VERSION: pythonBase.version,
  };
  const isolated = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"];
  const child = spawn("unshare", [...isolated, "sh", baseRecipePath], { env: { ...proxies(), ...environment }, stdio: ["ignore", "pipe", "pipe"] });
  let progress: Progress = startProgress(performance.now());
  const lastLines: string[] = [];
  const timer = setInterval(() => report(describeProgress(progress, performance.now())), 3_000);
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on("line", (line) => {
      progress = step(progress, line);
      lastLines.push(line);
      if (lastLines.length > 30) lastLines.shift();
    });
  }
  const code = await new Promise<number | null>((resolve, reject) => child.on("error", reject).on("close", resolve)).finally(() => clearInterval(timer));
  if (code !== 0)
    throw new Error(`building the base image failed (exit ${code}) at ${describeProgress(progress, performance.now())}:\n${lastLines.join("\n")}`);
  report(describeProgress(progress, performance.now()));
}

function proxies(): Record<string, string> {
  return Object.fromEntries(Object.entries(process.env).flatMap(([name, value]) => (/^(https?|no|all)_proxy$/i.test(name) && value ? [[name, value]] : [])));
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const report = (line: string) => void process.stderr.write(`${line}\n`);
  const { values } = parseArgs({ options: { cache: { type: "string", default: process.env["SQUALL_CACHE"] ?? "/var/cache/squall" } } });
  const tree = await buildBase({ cacheDir: values.cache, toolchainPython: process.env["SQUALL_TOOLCHAIN_PYTHON"] ?? "python3", report });
  process.stdout.write(`${tree}\n`);
}
