import { ServiceError } from "@squall/core/errors";
import { newId } from "@squall/core/ids";
import { writeAudit } from "../audit.ts";
import { authorize } from "../authorize.ts";
import type { ServiceContext } from "../context.ts";
import { makeOnce } from "../idempotency.ts";
import { parseName } from "../names.ts";
import type { Environment } from "./environment.ts";
import { toEnvironment } from "./internal.ts";

/** A new environment; throws `alreadyExists` when the workspace has one of this name. */
export async function createEnvironment({
  ctx,
  input,
}: {
  ctx: ServiceContext<"db" | "clock" | "random">;
  input: { readonly name: string };
}): Promise<Environment> {
  authorize(ctx, "environment", "write");
  const name = parseName("environment", input.name);
  return ctx.deps.db.transaction(ctx.workspace.id, async (tx) => {
    const { id, isRepeated } = await makeOnce(tx, ctx, {
      verb: "createEnvironment",
      request: { name },
      make: async () => {
        const row = { id: newId("environment", ctx.deps), workspaceId: ctx.workspace.id, name, webSuffix: name, createdAtMs: BigInt(ctx.deps.clock.now()) };
        const { count } = await tx.environment.createMany({ data: [row], skipDuplicates: true });
        if (count === 0) throw new ServiceError("alreadyExists", `Environment '${name}' already exists.`);
        return row.id;
      },
    });
    if (!isRepeated) await writeAudit(tx, ctx, { action: "environment.created", resourceId: id, details: { name } });
    return toEnvironment(await tx.environment.findFirstOrThrow({ where: { workspaceId: ctx.workspace.id, id } }));
  });
}
