import { ServiceError } from "@squall/core/errors";
import { asId, type Id, isId, newId } from "@squall/core/ids";
import type { Transaction } from "@squall/db/database";
import type { ServiceContext } from "../context.ts";
import type { Environment } from "../environment/environment.ts";
import { environmentScope } from "../environment/internal.ts";
import { type SecretValues, sealValues } from "./seal-values.ts";
import type { Secret } from "./secret.ts";

interface SecretRow {
  readonly id: string;
  readonly environmentId: string;
  readonly name: string | null;
  readonly version: number;
  readonly createdAtMs: bigint;
  readonly createdBy: string;
  readonly lastUsedAtMs: bigint | null;
  readonly versions: readonly { readonly keys: string[] }[];
}

/** The newest version's keys come with the row. */
const withKeys = { versions: { select: { keys: true }, orderBy: { version: "desc" }, take: 1 } } as const;

/** Live secrets of the caller's workspace that fit `where`, newest first. */
export async function findSecrets(
  tx: Transaction,
  ctx: ServiceContext<never>,
  { where, take }: { where: { id?: string; environmentId?: string; name?: string | { not: null }; createdAtMs?: { lt: bigint } }; take?: number },
): Promise<SecretRow[]> {
  return tx.secret.findMany({
    where: { workspaceId: ctx.workspace.id, deletedAtMs: null, ...where },
    include: withKeys,
    orderBy: { id: "desc" },
    ...(take === undefined ? {} : { take }),
  });
}

/** The live secret of this id, locked against other writers until the transaction ends; throws `notFound`. */
export async function lockSecret(tx: Transaction, ctx: ServiceContext<never>, secretId: string): Promise<SecretRow> {
  if (isId("secret", secretId)) await tx.$queryRaw`SELECT id FROM secret WHERE id = ${secretId} AND workspace_id = ${ctx.workspace.id} FOR UPDATE`;
  return fetchSecret(tx, ctx, secretId);
}

/** The live secret of this id, inside a container only of its own environment; throws `notFound`. */
export async function fetchSecret(tx: Transaction, ctx: ServiceContext<never>, secretId: string): Promise<SecretRow> {
  const scope = await environmentScope(tx, ctx);
  const [row] = isId("secret", secretId) ? await findSecrets(tx, ctx, { where: { id: secretId, ...scope } }) : [];
  if (!row) throw new ServiceError("notFound", `Secret ${secretId} not found.`);
  return row;
}

export function toSecret(row: SecretRow, environmentName: string): Secret {
  return {
    id: asId("secret", row.id),
    name: row.name ?? undefined,
    environmentName,
    keys: row.versions[0]?.keys ?? [],
    version: row.version,
    createdAtMs: Number(row.createdAtMs),
    createdBy: row.createdBy,
    lastUsedAtMs: row.lastUsedAtMs === null ? undefined : Number(row.lastUsedAtMs),
  };
}

/** Inserts a secret with its first version. Undefined when a live one of this name is there already. */
export async function insertSecret(
  tx: Transaction,
  ctx: ServiceContext<"clock" | "random" | "keys">,
  { environment, appId, name, values }: { environment: Environment; appId: Id<"app"> | undefined; name: string | undefined; values: SecretValues },
): Promise<Id<"secret"> | undefined> {
  const id = newId("secret", ctx.deps);
  const createdAtMs = BigInt(ctx.deps.clock.now());
  const createdBy = await nameOfActor(tx, ctx);
  const row = { id, workspaceId: ctx.workspace.id, environmentId: environment.id, appId: appId ?? null, name: name ?? null, createdAtMs, createdBy };
  const { count } = await tx.secret.createMany({ data: [row], skipDuplicates: true });
  if (count === 0) return undefined;
  await insertVersion(tx, ctx, { secretId: id, version: 1, values, createdBy });
  return id;
}

/** Makes `values` the newest version of a locked secret. */
export async function addVersion(
  tx: Transaction,
  ctx: ServiceContext<"clock" | "keys">,
  { secretId, version, values }: { secretId: string; version: number; values: SecretValues },
): Promise<void> {
  await insertVersion(tx, ctx, { secretId, version, values, createdBy: await nameOfActor(tx, ctx) });
  await tx.secret.update({ where: { id: secretId, workspaceId: ctx.workspace.id }, data: { version } });
}

async function insertVersion(
  tx: Transaction,
  ctx: ServiceContext<"clock" | "keys">,
  { secretId, version, values, createdBy }: { secretId: string; version: number; values: SecretValues; createdBy: string },
): Promise<void> {
  const place = { workspaceId: ctx.workspace.id, secretId, version };
  const sealed = sealValues(ctx.deps.keys, place, values);
  await tx.secretVersion.create({ data: { ...place, ...sealed, keys: Object.keys(values).sort(), createdAtMs: BigInt(ctx.deps.clock.now()), createdBy } });
}

async function nameOfActor(tx: Transaction, { actor }: ServiceContext<never>): Promise<string> {
  if (actor.kind === "container") return actor.containerId;
  if (actor.kind === "system") return actor.name;
  const user = await tx.appUser.findUnique({ where: { id: actor.userId } });
  return user?.name ?? actor.userId;
}

/** Throws unless the secret has every one of `required`; the text is what published clients look for. */
export function checkRequiredKeys(secret: Secret, required: readonly string[]): void {
  const missing = required.filter((key) => !secret.keys.includes(key));
  if (missing.length > 0) throw new ServiceError("notFound", `Secret is missing key(s): ${missing.join(", ")}`);
}
