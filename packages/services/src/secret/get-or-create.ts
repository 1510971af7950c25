import { ServiceError } from "@squall/core/errors";
import { asId } from "@squall/core/ids";
import type { Transaction } from "@squall/db/database";
import { requireLiveApp } from "../app-definition/internal.ts";
import { writeAudit } from "../audit.ts";
import { authorize } from "../authorize.ts";
import type { ServiceContext } from "../context.ts";
import type { Environment } from "../environment/environment.ts";
import { findEnvironment, findEnvironmentById } from "../environment/internal.ts";
import { makeOnce } from "../idempotency.ts";
import { parseName } from "../names.ts";
import { addVersion, checkRequiredKeys, fetchSecret, findSecrets, insertSecret, lockSecret, toSecret } from "./internal.ts";
import { parseSecretValues } from "./schemas.ts";
import type { SecretValues } from "./seal-values.ts";
import type { Secret } from "./secret.ts";

/** `ifMissing` leaves an existing secret as it is; `overwrite` gives it a new version. */
export type CreateMode = "failIfExists" | "ifMissing" | "overwrite";

type Needs = "db" | "clock" | "random" | "keys";

/** The secret of this name; throws `notFound`, also when it lacks one of `requiredKeys`. */
export async function lookUpSecret({
  ctx,
  input,
}: {
  ctx: ServiceContext<"db">;
  input: { readonly name: string; readonly environmentName: string; readonly requiredKeys: readonly string[] };
}): Promise<Secret> {
  authorize(ctx, "secret", "read");
  const name = parseName("secret", input.name);
  return ctx.deps.db.transaction(ctx.workspace.id, async (tx) => {
    const environment = await findEnvironment(tx, ctx, input.environmentName);
    const [row] = await findSecrets(tx, ctx, { where: { environmentId: environment.id, name } });
    if (!row)
      throw new ServiceError(
        "notFound",
        `Secret '${name}' not found in environment '${environment.name}'. Make it with: modal secret create ${name} KEY=value`,
      );
    const secret = toSecret(row, environment.name);
    checkRequiredKeys(secret, input.requiredKeys);
    return secret;
  });
}

/** A named secret, made or changed as `mode` says. Throws `alreadyExists` with mode `failIfExists`. */
export async function createSecret({
  ctx,
  input,
}: {
  ctx: ServiceContext<Needs>;
  input: { readonly name: string; readonly environmentName: string; readonly values: SecretValues; readonly mode: CreateMode };
}): Promise<Secret> {
  authorize(ctx, "secret", "write");
  const name = parseName("secret", input.name);
  const values = parseSecretValues(input.values);
  return ctx.deps.db.transaction(ctx.workspace.id, async (tx) => {
    const environment = await findEnvironment(tx, ctx, input.environmentName);
    const { id } = await makeOnce(tx, ctx, {
      verb: "createSecret",
      request: { name, environmentId: environment.id, mode: input.mode, values: ctx.deps.keys.fingerprint(JSON.stringify(values)) },
      make: () => createOrChange(tx, ctx, { name, environment, values, mode: input.mode }),
    });
    return toSecret(await fetchSecret(tx, ctx, id), environment.name);
  });
}

/** A nameless secret that lives with its app: `Secret.from_dict`. */
export async function createAppSecret({
  ctx,
  input,
}: {
  ctx: ServiceContext<Needs>;
  input: { readonly appId: string; readonly values: SecretValues };
}): Promise<Secret> {
  authorize(ctx, "secret", "write");
  const values = parseSecretValues(input.values);
  return ctx.deps.db.transaction(ctx.workspace.id, async (tx) => {
    const app = await requireLiveApp(tx, ctx, input.appId);
    const environment = await findEnvironmentById(tx, ctx, app.environmentId);
    const { id } = await makeOnce(tx, ctx, {
      verb: "createAppSecret",
      request: { appId: app.id, values: ctx.deps.keys.fingerprint(JSON.stringify(values)) },
      make: async () => made(await insertSecret(tx, ctx, { environment, appId: asId("app", app.id), name: undefined, values })),
    });
    return toSecret(await fetchSecret(tx, ctx, id), environment.name);
  });
}

interface NamedSecret {
  readonly name: string;
  readonly environment: Environment;
  readonly values: SecretValues;
  readonly mode: CreateMode;
}

async function createOrChange(tx: Transaction, ctx: ServiceContext<Needs>, { name, environment, values, mode }: NamedSecret): Promise<string> {
  const made = await insertSecret(tx, ctx, { environment, appId: undefined, name, values });
  const details = { name, environment: environment.name, keys: Object.keys(values).sort() };
  if (made) {
    await writeAudit(tx, ctx, { action: "secret.created", resourceId: made, details });
    return made;
  }
  if (mode === "failIfExists") throw new ServiceError("alreadyExists", `Secret '${name}' already exists in environment '${environment.name}'.`);
  const [present] = await findSecrets(tx, ctx, { where: { environmentId: environment.id, name } });
  if (!present) throw new ServiceError("aborted", `Secret '${name}' was deleted at this moment. Try again.`);
  if (mode === "overwrite") {
    const { version } = await lockSecret(tx, ctx, present.id);
    await addVersion(tx, ctx, { secretId: present.id, version: version + 1, values });
    await writeAudit(tx, ctx, { action: "secret.changed", resourceId: present.id, details: { ...details, version: version + 1 } });
  }
  return present.id;
}

function made(id: string | undefined): string {
  if (id === undefined) throw new Error("a secret without a name met another one");
  return id;
}
