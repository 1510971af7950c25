import { authorize } from "../authorize.ts";
import type { ServiceContext } from "../context.ts";
import { findEnvironment } from "../environment/internal.ts";
import { findSecrets, toSecret } from "./internal.ts";
import type { Secret } from "./secret.ts";

const maxPage = 100;

/** Named secrets of an environment, newest first, at most 100: a page of those made before `createdBeforeMs`. */
export async function listSecrets({
  ctx,
  input,
}: {
  ctx: ServiceContext<"db">;
  input: { readonly environmentName: string; readonly createdBeforeMs: number | undefined; readonly maxItems: number };
}): Promise<{ readonly environmentName: string; readonly secrets: readonly Secret[] }> {
  authorize(ctx, "secret", "read");
  const { createdBeforeMs } = input;
  return ctx.deps.db.transaction(ctx.workspace.id, async (tx) => {
    const environment = await findEnvironment(tx, ctx, input.environmentName);
    const before = createdBeforeMs === undefined ? {} : { createdAtMs: { lt: BigInt(createdBeforeMs) } };
    const take = Math.min(Math.max(input.maxItems, 1), maxPage);
    const rows = await findSecrets(tx, ctx, { where: { environmentId: environment.id, name: { not: null }, ...before }, take });
    return { environmentName: environment.name, secrets: rows.map((row) => toSecret(row, environment.name)) };
  });
}
