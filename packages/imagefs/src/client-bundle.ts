/**
 * The caller's client inside containers: its code (mounted at /pkg) and its pinned needs (at /__modal/deps), for one client version, image builder
 * version and image. Read-only for ever once made: its bytecode is not checked against the source, so an edited bundle would run the old code.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { access, chmod, mkdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { pythonBase, treePathOf } from "./base-image.ts";
import { runExclusively } from "./exclusive.ts";
import { createRootSource } from "./root-source.ts";

const run = promisify(execFile);
const scripts = join(import.meta.dirname, "../scripts");
const recipe = ["make-client-bundle.sh", "evaluate-pins.py", "sitecustomize.py", "_squall_start.py"];

export interface ClientBundle {
  /** To be mounted read-only at /pkg. */
  readonly pkgPath: string;
  /** To be mounted read-only at /__modal/deps. */
  readonly depsPath: string;
}

export interface ClientBundleRequest {
  readonly cacheDir: string;
  /** As the client sent it: untrusted. */
  readonly clientVersion: string;
  readonly builderVersion: string;
  readonly imageKey: string;
  /** A Python with pip that reaches the package index; default: SQUALL_TOOLCHAIN_PYTHON, then python3. */
  readonly toolchainPython?: string;
}

/** A client version that cannot be served; the message may be shown to the caller. */
export class ClientVersionError extends Error {
  override readonly name = "ClientVersionError";
}

/**
 * The bundle for a client, made and kept on first use (about ten seconds and 30 MB). Safe to call at once from several processes. Rejects with
 * `ClientVersionError` for a text that is no version, and for a version that the package index does not have.
 */
export async function ensureClientBundle(request: ClientBundleRequest): Promise<ClientBundle> {
  const { cacheDir, clientVersion, builderVersion, imageKey } = request;
  assertVersions(clientVersion, builderVersion);
  const target = join(cacheDir, "bundles", `${clientVersion}-${builderVersion}-cp${pythonBase.series.replace(".", "")}.${recipeHash(cacheDir, imageKey)}`);
  const bundle = { pkgPath: join(target, "pkg"), depsPath: join(target, "deps") };
  if (await exists(target)) return bundle;
  await mkdir(dirname(target), { recursive: true });
  await runExclusively({ lockPath: `${target}.lock`, waiting: () => undefined }, async () => {
    if (!(await exists(target))) await build(request, target);
  });
  return bundle;
}

/** Before pip sees them: a version is never an option, an address or a path. */
function assertVersions(clientVersion: string, builderVersion: string): void {
  if (!/^\d{1,4}(\.\d{1,6}){1,3}((a|b|rc)\d{1,4})?(\.(dev|post)\d{1,6})?$/.test(clientVersion)) {
    throw new ClientVersionError(`"${clientVersion.slice(0, 40)}" is not a version of the modal client`);
  }
  if (!/^(\d{4}\.\d{2}|PREVIEW)$/.test(builderVersion)) throw new ClientVersionError(`"${builderVersion.slice(0, 40)}" is not an image builder version`);
}

/** The bytecode belongs to one image's Python, and the layout to this recipe. */
function recipeHash(cacheDir: string, imageKey: string): string {
  const hash = createHash("sha256").update(treePathOf(cacheDir, imageKey).slice(cacheDir.length));
  for (const name of recipe) hash.update(readFileSync(join(scripts, name)));
  return hash.digest("hex").slice(0, 12);
}

async function build(request: ClientBundleRequest, target: string): Promise<void> {
  const { treePath } = await createRootSource(request).resolve(request.imageKey);
  const work = join(dirname(target), `.building-${request.clientVersion}-${request.builderVersion}`);
  await rm(work, { recursive: true, force: true });
  await mkdir(work, { recursive: true });
  const environment = {
    ...process.env,
    WORK: work,
    TREE: treePath,
    FILES: scripts,
    CLIENT_VERSION: request.clientVersion,
    BUILDER_VERSION: request.builderVersion,
    PYTHON_SERIES: pythonBase.series,
    TOOLCHAIN_PYTHON: request.toolchainPython ?? process.env["SQUALL_TOOLCHAIN_PYTHON"] ?? "python3",
  };
  const isolated = ["--mount", "--propagation", "private", "sh", join(scripts, "make-client-bundle.sh")];
  await run("unshare", isolated, { env: environment, timeout: 300_000, maxBuffer: 1 << 20 }).catch((cause: unknown) => {
    throw new ClientVersionError(`cannot get the modal client ${request.clientVersion} for this machine: ${lastLine(cause)}`, { cause });
  });
  await chmod(work, 0o755);
  await rename(work, target);
}

function lastLine(error: unknown): string {
  const text = error instanceof Error && "stderr" in error ? String(error.stderr) : String(error);
  const lines = text.trim().split("\n");
  return lines.findLast((line) => line.startsWith("ERROR:")) ?? lines.at(-1) ?? "";
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
