import { authorize } from "../authorize.ts";
import type { ServiceContext } from "../context.ts";
import { findEnvironmentById } from "../environment/internal.ts";
import { fetchSecret, toSecret } from "./internal.ts";
import type { Secret } from "./secret.ts";

/** What may be known of the secret of this id; throws `notFound`. */
export async function getSecret({ ctx, input }: { ctx: ServiceContext<"db">; input: { readonly secretId: string } }): Promise<Secret> {
  authorize(ctx, "secret", "read");
  return ctx.deps.db.transaction(ctx.workspace.id, async (tx) => {
    const row = await fetchSecret(tx, ctx, input.secretId);
    const environment = await findEnvironmentById(tx, ctx, row.environmentId);
    return toSecret(row, environment.name);
  });
}
