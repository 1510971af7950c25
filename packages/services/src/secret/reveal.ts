/** The only reader of values: for delivery to the worker that starts a container, and for changing single keys. No door answers with them. */
import { ServiceError } from "@squall/core/errors";
import type { Transaction } from "@squall/db/database";
import type { ServiceContext } from "../context.ts";
import { openValues, type SecretValues } from "./seal-values.ts";

export interface RevealedSecret {
  readonly secretId: string;
  readonly version: number;
  readonly values: SecretValues;
}

/**
 * The newest values of these secrets of the caller's workspace, in the order of `secretIds`. For the system only. Throws `failedPrecondition` when one
 * does not exist any more: a container must not start without what it was promised.
 */
export async function revealSecrets({
  ctx,
  input,
}: {
  ctx: ServiceContext<"db" | "keys" | "clock">;
  input: { readonly secretIds: readonly string[] };
}): Promise<readonly RevealedSecret[]> {
  if (ctx.actor.kind !== "system") throw new ServiceError("permissionDenied", "Values of secrets are given to containers only.");
  if (input.secretIds.length === 0) return [];
  return ctx.deps.db.transaction(ctx.workspace.id, async (tx) => {
    const revealed = new Map((await readValues(tx, ctx, input.secretIds)).map((each) => [each.secretId, each]));
    const inOrder = input.secretIds.flatMap((secretId) => revealed.get(secretId) ?? []);
    const missing = input.secretIds.filter((secretId) => !revealed.has(secretId));
    if (missing.length > 0) throw new ServiceError("failedPrecondition", `Secret ${missing.join(", ")} was deleted: the function cannot start without it.`);
    await tx.secret.updateMany({
      where: { workspaceId: ctx.workspace.id, id: { in: [...input.secretIds] } },
      data: { lastUsedAtMs: BigInt(ctx.deps.clock.now()) },
    });
    return inOrder;
  });
}

/** Newest versions of live secrets, opened. Only for this folder. */
export async function readValues(tx: Transaction, ctx: ServiceContext<"keys">, secretIds: readonly string[]): Promise<RevealedSecret[]> {
  const rows = await tx.secret.findMany({
    where: { workspaceId: ctx.workspace.id, id: { in: [...secretIds] }, deletedAtMs: null },
    include: { versions: { orderBy: { version: "desc" }, take: 1 } },
  });
  return rows.flatMap((row) =>
    row.versions.map((version) => {
      const place = { workspaceId: ctx.workspace.id, secretId: row.id, version: version.version };
      return { secretId: row.id, version: version.version, values: openValues(ctx.deps.keys, place, version) };
    }),
  );
}
