import { writeAudit } from "../audit.ts";
import { authorize } from "../authorize.ts";
import type { ServiceContext } from "../context.ts";
import { findEnvironmentById } from "../environment/internal.ts";
import { addVersion, fetchSecret, lockSecret, toSecret } from "./internal.ts";
import { readValues } from "./reveal.ts";
import { parseSecretValues } from "./schemas.ts";
import type { Secret } from "./secret.ts";

/** A key with its new value; undefined takes the key away. */
export interface SecretChange {
  readonly key: string;
  readonly value: string | undefined;
}

/** Gives the secret a new version with these changes; containers that start from now on get it. Throws `notFound`. */
export async function updateSecret({
  ctx,
  input,
}: {
  ctx: ServiceContext<"db" | "clock" | "keys" | "random">;
  input: { readonly secretId: string; readonly changes: readonly SecretChange[] };
}): Promise<Secret> {
  authorize(ctx, "secret", "write");
  return ctx.deps.db.transaction(ctx.workspace.id, async (tx) => {
    const row = await lockSecret(tx, ctx, input.secretId);
    const environment = await findEnvironmentById(tx, ctx, row.environmentId);
    const [present] = await readValues(tx, ctx, [row.id]);
    const values = parseSecretValues(changed(present?.values ?? {}, input.changes));
    const version = row.version + 1;
    await addVersion(tx, ctx, { secretId: row.id, version, values });
    const details = { name: row.name ?? "", version, keys: input.changes.map((change) => change.key) };
    await writeAudit(tx, ctx, { action: "secret.changed", resourceId: row.id, details });
    return toSecret(await fetchSecret(tx, ctx, row.id), environment.name);
  });
}

function changed(values: Readonly<Record<string, string>>, changes: readonly SecretChange[]): Record<string, string> {
  const next = new Map(Object.entries(values));
  for (const { key, value } of changes) {
    if (value === undefined) next.delete(key);
    else next.set(key, value);
  }
  return Object.fromEntries(next);
}
