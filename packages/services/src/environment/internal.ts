import { ServiceError } from "@squall/core/errors";
import { asId } from "@squall/core/ids";
import type { Transaction } from "@squall/db/database";
import type { ServiceContext } from "../context.ts";
import type { Environment } from "./environment.ts";

interface EnvironmentRow {
  readonly id: string;
  readonly name: string;
  readonly isDefault: boolean;
  readonly webSuffix: string;
  readonly createdAtMs: bigint;
}

export function toEnvironment(row: EnvironmentRow): Environment {
  return { id: asId("environment", row.id), name: row.name, isDefault: row.isDefault, webSuffix: row.webSuffix, createdAtMs: Number(row.createdAtMs) };
}

/**
 * The environment of this name; the empty name means the default one, and inside a container the one of its app. A container sees no other environment
 * than its own. Throws `notFound`.
 */
export async function findEnvironment(tx: Transaction, ctx: ServiceContext<never>, name: string): Promise<Environment> {
  const row = ctx.actor.kind === "container" ? await ownEnvironment(tx, ctx, ctx.actor.appId) : await namedEnvironment(tx, ctx, name);
  if (!row || (name !== "" && row.name !== name)) throw new ServiceError("notFound", `Environment '${name}' not found.`);
  return toEnvironment(row);
}

async function namedEnvironment(tx: Transaction, ctx: ServiceContext<never>, name: string): Promise<EnvironmentRow | null> {
  const which = name === "" ? { isDefault: true } : { name };
  return tx.environment.findFirst({ where: { workspaceId: ctx.workspace.id, ...which } });
}

async function ownEnvironment(tx: Transaction, ctx: ServiceContext<never>, appId: string): Promise<EnvironmentRow | null> {
  const app = await tx.app.findFirst({ where: { workspaceId: ctx.workspace.id, id: appId } });
  return app && tx.environment.findFirst({ where: { workspaceId: ctx.workspace.id, id: app.environmentId } });
}

/** What a look-up by id adds to its condition: code in a container reaches objects of its own environment only, people those of the whole workspace. */
export async function environmentScope(tx: Transaction, ctx: ServiceContext<never>): Promise<{ readonly environmentId?: string }> {
  return ctx.actor.kind === "container" ? { environmentId: (await findEnvironment(tx, ctx, "")).id } : {};
}

/** The environment of this id, which a row of the caller's workspace names. */
export async function findEnvironmentById(tx: Transaction, ctx: ServiceContext<never>, id: string): Promise<Environment> {
  return toEnvironment(await tx.environment.findFirstOrThrow({ where: { workspaceId: ctx.workspace.id, id } }));
}
