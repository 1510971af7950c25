import { ServiceError } from "@squall/core/errors";
import { asId, type Id, newId } from "@squall/core/ids";
import { writeAudit } from "../audit.ts";
import { authorize } from "../authorize.ts";
import type { ServiceContext } from "../context.ts";
import { findEnvironment } from "../environment/internal.ts";
import { makeOnce } from "../idempotency.ts";

export interface CreateAppInput {
  readonly description: string;
  /** Empty for the workspace's default environment. */
  readonly environmentName: string;
  readonly state: "initializing" | "ephemeral" | "detached";
  readonly tags: Readonly<Record<string, string>>;
}

const maxDescriptionCharacters = 1000;

/** Makes an app; the same idempotency key answers the same app. An ephemeral app lives as long as its caller's heartbeats. */
export async function createApp({ ctx, input }: { ctx: ServiceContext<"db" | "clock" | "random">; input: CreateAppInput }): Promise<Id<"app">> {
  authorize(ctx, "app", "write");
  if (input.description.length > maxDescriptionCharacters)
    throw new ServiceError("invalidArgument", `The app's description is longer than ${maxDescriptionCharacters} characters.`);
  const { db, clock } = ctx.deps;
  return db.transaction(ctx.workspace.id, async (tx) => {
    const environment = await findEnvironment(tx, ctx, input.environmentName);
    const make = async () => {
      const now = BigInt(clock.now());
      const row = {
        id: newId("app", ctx.deps),
        workspaceId: ctx.workspace.id,
        environmentId: environment.id,
        description: input.description,
        state: input.state,
        tags: { ...input.tags },
        clientVersion: ctx.clientVersion ?? "",
        lastHeartbeatAtMs: now,
        createdAtMs: now,
      };
      await tx.app.create({ data: row });
      return row.id;
    };
    const { id, isRepeated } = await makeOnce(tx, ctx, { verb: "createApp", request: { ...input, environmentName: environment.name }, make });
    if (!isRepeated) await writeAudit(tx, ctx, { action: "app.created", resourceId: id, details: { description: input.description } });
    return asId("app", id);
  });
}
