import type { Transaction } from "@squall/db/database";
import type { ServiceContext } from "../context.ts";

/** Forgets the values of the nameless secrets that live with an app, in the transaction that ends the app: nothing of it starts again. */
export async function forgetAppSecrets(tx: Transaction, ctx: ServiceContext<"clock">, appId: string): Promise<void> {
  const owned = { workspaceId: ctx.workspace.id, appId, deletedAtMs: null };
  await tx.secretVersion.deleteMany({ where: { workspaceId: ctx.workspace.id, secret: owned } });
  await tx.secret.updateMany({ where: owned, data: { deletedAtMs: BigInt(ctx.deps.clock.now()) } });
}
