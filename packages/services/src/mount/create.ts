import { createHash } from "node:crypto";
import { ServiceError } from "@squall/core/errors";
import { asId, type Id, newId } from "@squall/core/ids";
import { authorize } from "../authorize.ts";
import type { ServiceContext } from "../context.ts";

export interface MountedFile {
  /** Absolute path in the container. */
  readonly path: string;
  readonly sha256: string;
  /** Permission bits; undefined for 0644. */
  readonly mode: number | undefined;
}

export interface Mount {
  readonly id: Id<"mount">;
  /** Over paths, contents and modes. */
  readonly checksum: string;
}

const maxFiles = 100_000;
const maxPathBytes = 4096; // PATH_MAX

/** A mount of files that were uploaded before; the same files give the same mount. */
export async function createMount({
  ctx,
  input,
}: {
  ctx: ServiceContext<"db" | "clock" | "random">;
  input: { readonly files: readonly MountedFile[] };
}): Promise<Mount> {
  authorize(ctx, "mount", "write");
  if (input.files.length > maxFiles) throw new ServiceError("invalidArgument", `A mount holds at most ${maxFiles} files.`);
  for (const { path } of input.files) checkPath(path);
  const files = [...input.files].sort((a, b) => (a.path < b.path ? -1 : 1));
  const checksum = createHash("sha256")
    .update(JSON.stringify(files.map(({ path, sha256, mode }) => [path, sha256, mode ?? 0o644])))
    .digest("hex");
  return ctx.deps.db.transaction(ctx.workspace.id, async (tx) => {
    const hashes = [...new Set(files.map((file) => file.sha256))];
    const stored = await tx.mountFile.findMany({ where: { workspaceId: ctx.workspace.id, sha256: { in: hashes } }, select: { sha256: true, sizeBytes: true } });
    const sizes = new Map(stored.map((row) => [row.sha256, Number(row.sizeBytes)]));
    const entries = files.map(({ path, sha256, mode }) => {
      const sizeBytes = sizes.get(sha256);
      if (sizeBytes === undefined) throw new ServiceError("failedPrecondition", `The file ${path} has not been uploaded. Run again.`);
      return { path, sha256, mode: mode ?? 0o644, sizeBytes };
    });
    const key = { workspaceId: ctx.workspace.id, contentKey: checksum };
    const row = { ...key, id: newId("mount", ctx.deps), kind: "anonymous", files: entries, createdAtMs: BigInt(ctx.deps.clock.now()) };
    await tx.mount.createMany({ data: [row], skipDuplicates: true });
    const mount = await tx.mount.findUniqueOrThrow({ where: { workspaceId_contentKey: key }, select: { id: true } });
    return { id: asId("mount", mount.id), checksum };
  });
}

// The agent writes these below a root of its own; a path that could leave it is refused here already.
function checkPath(path: string): void {
  const parts = path.split("/");
  const isSafe = path.startsWith("/") && Buffer.byteLength(path) < maxPathBytes && !path.includes("\0") && !parts.includes("..") && !parts.includes(".");
  if (!isSafe || path === "/") throw new ServiceError("invalidArgument", `${JSON.stringify(path.slice(0, 200))} is no absolute path for a mounted file.`);
}
