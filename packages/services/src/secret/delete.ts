import { writeAudit } from "../audit.ts";
import { authorize } from "../authorize.ts";
import type { ServiceContext } from "../context.ts";
import { lockSecret } from "./internal.ts";

/** Forgets the secret's values at once and frees its name; running containers keep what they have. Throws `notFound`. */
export async function deleteSecret({ ctx, input }: { ctx: ServiceContext<"db" | "clock" | "random">; input: { readonly secretId: string } }): Promise<void> {
  authorize(ctx, "secret", "write");
  await ctx.deps.db.transaction(ctx.workspace.id, async (tx) => {
    const row = await lockSecret(tx, ctx, input.secretId);
    await tx.secretVersion.deleteMany({ where: { workspaceId: ctx.workspace.id, secretId: row.id } });
    await tx.secret.update({ where: { id: row.id, workspaceId: ctx.workspace.id }, data: { deletedAtMs: BigInt(ctx.deps.clock.now()) } });
    await writeAudit(tx, ctx, { action: "secret.deleted", resourceId: row.id, details: { name: row.name ?? "" } });
  });
}
