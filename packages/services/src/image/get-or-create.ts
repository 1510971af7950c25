import { createHash } from "node:crypto";
import { ServiceError } from "@squall/core/errors";
import { type Id, newId } from "@squall/core/ids";
import { authorize } from "../authorize.ts";
import type { ServiceContext } from "../context.ts";
import { fromRow, type StoredImage } from "./stored-image.ts";

export interface GetOrCreateImageInput {
  /** modal.client.Image as the client sent it. */
  readonly definition: Uint8Array;
  readonly builderVersion: string;
  /** What the definition was recognised as; the door asks the image package. */
  readonly recognised:
    | { readonly kind: "root"; readonly imageKey: string; readonly pythonVersion: string }
    | { readonly kind: "needsBuild"; readonly reason: string };
}

/** The image of this content in the workspace. A definition that would need a build is refused with the reason. */
export async function getOrCreateImage({ ctx, input }: { ctx: ServiceContext<"db" | "clock" | "random">; input: GetOrCreateImageInput }): Promise<StoredImage> {
  authorize(ctx, "image", "write");
  const { recognised } = input;
  if (recognised.kind === "needsBuild") throw new ServiceError("failedPrecondition", recognised.reason);
  const contentKey = createHash("sha256").update(input.builderVersion).update("\0").update(input.definition).digest("hex");
  const { db, clock } = ctx.deps;
  const id: Id<"image"> = newId("image", ctx.deps);
  return db.transaction(ctx.workspace.id, async (tx) => {
    const key = { workspaceId: ctx.workspace.id, contentKey };
    const fresh = {
      ...key,
      id,
      definition: Buffer.from(input.definition),
      builderVersion: input.builderVersion,
      state: "ready",
      createdAtMs: BigInt(clock.now()),
    };
    const { imageKey, pythonVersion } = recognised;
    await tx.image.createMany({ data: [{ ...fresh, imageKey, pythonVersion }], skipDuplicates: true });
    return fromRow(await tx.image.findUniqueOrThrow({ where: { workspaceId_contentKey: key } }));
  });
}
