import { authorize } from "../authorize.ts";
import type { ServiceContext } from "../context.ts";
import type { Environment } from "./environment.ts";
import { findEnvironment } from "./internal.ts";

/** The environment of this name, or the default one for the empty name. Throws `notFound`. */
export async function getEnvironment({ ctx, input }: { ctx: ServiceContext<"db">; input: { readonly name: string } }): Promise<Environment> {
  authorize(ctx, "environment", "read");
  return ctx.deps.db.transaction(ctx.workspace.id, (tx) => findEnvironment(tx, ctx, input.name));
}
