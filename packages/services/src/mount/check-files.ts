import { ServiceError } from "@squall/core/errors";
import { authorize } from "../authorize.ts";
import type { ServiceContext } from "../context.ts";
import { isSha256 } from "./internal.ts";

const maxHashes = 1000;

/** Which of these contents the workspace has not uploaded yet. Another workspace's upload does not count: knowing a hash proves nothing. */
export async function findMissingFiles({
  ctx,
  input,
}: {
  ctx: ServiceContext<"db">;
  input: { readonly sha256: readonly string[] };
}): Promise<readonly string[]> {
  authorize(ctx, "mount", "read");
  if (input.sha256.length > maxHashes) throw new ServiceError("invalidArgument", `At most ${maxHashes} files can be asked for at once.`);
  for (const sha256 of input.sha256) if (!isSha256(sha256)) throw new ServiceError("invalidArgument", "A file's hash must be 64 hexadecimal digits.");
  const rows = await ctx.deps.db.transaction(ctx.workspace.id, (tx) =>
    tx.mountFile.findMany({ where: { workspaceId: ctx.workspace.id, sha256: { in: [...input.sha256] } }, select: { sha256: true } }),
  );
  const present = new Set(rows.map((row) => row.sha256));
  return input.sha256.filter((sha256) => !present.has(sha256));
}
