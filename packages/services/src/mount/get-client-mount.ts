import { ServiceError } from "@squall/core/errors";
import { asId, newId } from "@squall/core/ids";
import { authorize } from "../authorize.ts";
import type { ServiceContext } from "../context.ts";
import type { Mount } from "./create.ts";

const clientMount = /^modal-client-mount-(\d+\.\d+\.\d+)$/;

/** The mount that stands for the client of one version: the agent puts that version into the container by itself, so it has no files here. */
export async function getClientMount({ ctx, input }: { ctx: ServiceContext<"db" | "clock" | "random">; input: { readonly name: string } }): Promise<Mount> {
  authorize(ctx, "mount", "read");
  const version = clientMount.exec(input.name)?.[1];
  if (version === undefined)
    throw new ServiceError("notFound", `Mount '${input.name}' not found. Of the global mounts only modal-client-mount-<version> is served.`);
  const key = { workspaceId: ctx.workspace.id, contentKey: `client/${version}` };
  return ctx.deps.db.transaction(ctx.workspace.id, async (tx) => {
    // Every function of an app asks at once.
    const row = { ...key, kind: "client", id: newId("mount", ctx.deps), files: [], createdAtMs: BigInt(ctx.deps.clock.now()) };
    await tx.mount.createMany({ data: [row], skipDuplicates: true });
    const mount = await tx.mount.findUniqueOrThrow({ where: { workspaceId_contentKey: key }, select: { id: true } });
    return { id: asId("mount", mount.id), checksum: version };
  });
}
