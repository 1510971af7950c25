import { ServiceError } from "@squall/core/errors";
import type { Id } from "@squall/core/ids";
import { authorize } from "../authorize.ts";
import type { ServiceContext } from "../context.ts";
import { requireLiveApp } from "./internal.ts";

export interface PublishAppInput {
  readonly appId: Id<"app">;
  /** Undefined keeps the present state. */
  readonly state: "ephemeral" | "detached" | undefined;
  readonly functionIds: Readonly<Record<string, string>>;
  readonly classIds: Readonly<Record<string, string>>;
}

/** Names the functions and classes that make up the app from now on. All of them must be the app's own. */
export async function publishApp({ ctx, input }: { ctx: ServiceContext<"db">; input: PublishAppInput }): Promise<void> {
  authorize(ctx, "app", "write");
  await ctx.deps.db.transaction(ctx.workspace.id, async (tx) => {
    const app = await requireLiveApp(tx, ctx, input.appId);
    const functions = await tx.function.findMany({ where: { appId: app.id, workspaceId: ctx.workspace.id }, select: { id: true } });
    const classes = await tx.class.findMany({ where: { appId: app.id, workspaceId: ctx.workspace.id }, select: { id: true } });
    const known = new Set([...functions, ...classes].map(({ id }) => id));
    for (const [tag, id] of [...Object.entries(input.functionIds), ...Object.entries(input.classIds)])
      if (!known.has(id)) throw new ServiceError("invalidArgument", `App ${app.id} cannot publish '${tag}': ${id} is no function or class of it.`);
    await tx.app.update({
      where: { id: app.id },
      data: { functionIds: { ...input.functionIds }, classIds: { ...input.classIds }, ...(input.state === undefined ? {} : { state: input.state }) },
    });
  });
}
