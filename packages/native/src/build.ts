import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { access, mkdir, mkdtemp, readdir, readFile, rename, rm } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const sourceDir = path.resolve(import.meta.dirname, "../c");
const flags = ["-O2", "-static", "-s", "-Wall", "-Wextra", "-Werror"];
const initSource = "init.c"; // a program of its own: the only one that lies in containers

/**
 * Compiles `squall-native` and `squall-init` with gcc, once per source hash, into `<cacheDir>/native/<hash>/`, and returns the path of `squall-native`.
 * Several processes may build at once: each builds aside and renames; the first one stands. Rejects with the compiler's words.
 */
export async function buildNative({ cacheDir }: { cacheDir: string }): Promise<string> {
  const sources = (await readdir(sourceDir)).filter((name) => /\.[ch]$/.test(name)).sort();
  const hash = createHash("sha256").update(flags.join(" "));
  for (const name of sources) hash.update(`\0${name}\0`).update(await readFile(path.join(sourceDir, name)));
  const parent = path.join(cacheDir, "native");
  const target = path.join(parent, hash.digest("hex").slice(0, 16));
  const program = path.join(target, "squall-native");
  if (await exists(program)) return program;
  await mkdir(parent, { recursive: true });
  const aside = await mkdtemp(path.join(parent, ".build-"));
  try {
    await compile(sources, aside);
    await rename(aside, target).catch(async (error: unknown) => {
      if (!(await exists(program))) throw error; // else another process was first
    });
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
  return program;
}

/** The static pid 1 of containers that belongs to a `squall-native`: lies beside it. */
export function initProgram(nativePath: string): string {
  return path.join(path.dirname(nativePath), "squall-init");
}

async function compile(sources: readonly string[], into: string): Promise<void> {
  const programs = sources.filter((name) => name.endsWith(".c") && name !== initSource);
  await Promise.all([gcc(programs, path.join(into, "squall-native")), gcc([initSource], path.join(into, "squall-init"))]);
}

async function gcc(names: readonly string[], output: string): Promise<void> {
  await run("gcc", [...flags, "-o", output, ...names], { cwd: sourceDir });
}

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
