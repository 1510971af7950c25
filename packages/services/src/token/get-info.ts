import { ServiceError } from "@squall/core/errors";
import { authorize } from "../authorize.ts";
import type { ServiceContext } from "../context.ts";

export interface TokenInfo {
  readonly tokenId: string;
  readonly name: string;
  readonly createdAtMs: number;
  readonly user: { readonly id: string; readonly name: string };
}

/** What is known of the token that the caller came with. */
export async function getTokenInfo({ ctx }: { ctx: ServiceContext<"db"> }): Promise<TokenInfo> {
  authorize(ctx, "token", "read");
  const { actor } = ctx;
  const id = actor.kind === "user" ? actor.tokenId : undefined;
  if (id === undefined) throw new ServiceError("notFound", "You did not come with a token.");
  return ctx.deps.db.transaction(ctx.workspace.id, async (tx) => {
    const row = await tx.apiToken.findFirstOrThrow({ where: { id, workspaceId: ctx.workspace.id }, include: { user: true } });
    return { tokenId: row.tokenId, name: row.name, createdAtMs: Number(row.createdAtMs), user: { id: row.user.id, name: row.user.name } };
  });
}
