import { ServiceError } from "@squall/core/errors";
import { asId, type Id } from "@squall/core/ids";
import type { ServiceDeps } from "../context.ts";
import { booleanOf, numberOf, optionalBytesOf, optionalTextOf, type Row, textOf } from "../journal/sql.ts";

export interface ContainerFile {
  /** Absolute path in the container. */
  readonly path: string;
  readonly sha256: string;
  readonly mode: number;
  readonly sizeBytes: number;
}

/** What a container of a function is made from, but for secrets and the app's layout. */
export interface ContainerRecipe {
  readonly functionId: Id<"function">;
  readonly appId: Id<"app">;
  readonly workspaceId: Id<"workspace">;
  readonly workspaceName: string;
  readonly environmentName: string;
  readonly tag: string;
  /** modal.client.Function, unread. */
  readonly definition: Uint8Array;
  readonly isGenerator: boolean;
  readonly imageId: string;
  readonly imageKey: string;
  readonly clientVersion: string;
  readonly builderVersion: string;
  /** Of all mounts; of two files at one path the later mount's. */
  readonly files: readonly ContainerFile[];
  readonly secretIds: readonly string[];
  readonly timeoutMs: number;
  readonly startupTimeoutMs: number;
  readonly maxConcurrentInputs: number;
  readonly blockNetwork: boolean;
}

/** Two queries. Throws `failedPrecondition` when the function is gone or has no image that is ready. */
export async function readContainerRecipe({ deps, functionId }: { deps: Pick<ServiceDeps, "db">; functionId: Id<"function"> }): Promise<ContainerRecipe> {
  const { rows } = await deps.db.engine.query({
    name: "container-recipe",
    text: `SELECT f.id, f.app_id, f.workspace_id, w.name AS workspace_name, e.name AS environment_name, f.tag, f.definition, f.kind = 'generator' AS is_generator,
        i.id AS image_id, i.image_key, i.state AS image_state, f.client_version, f.builder_version, f.mount_ids, f.secret_ids, f.timeout_ms, f.startup_timeout_ms,
        f.max_concurrent_inputs, f.block_network
      FROM function f JOIN workspace w ON w.id = f.workspace_id JOIN environment e ON e.id = f.environment_id LEFT JOIN image i ON i.id = f.image_id
      WHERE f.id = $1`,
    values: [functionId],
  });
  const row: Row | undefined = rows[0];
  if (row === undefined) throw new ServiceError("failedPrecondition", `Function ${functionId} does not exist any more.`);
  if (row["image_state"] !== "ready") throw new ServiceError("failedPrecondition", `Function ${textOf(row, "tag")} has no image that is ready.`);
  return {
    functionId,
    appId: asId("app", textOf(row, "app_id")),
    workspaceId: asId("workspace", textOf(row, "workspace_id")),
    workspaceName: textOf(row, "workspace_name"),
    environmentName: textOf(row, "environment_name"),
    tag: textOf(row, "tag"),
    definition: optionalBytesOf(row, "definition") ?? new Uint8Array(),
    isGenerator: booleanOf(row, "is_generator"),
    imageId: optionalTextOf(row, "image_id") ?? "",
    imageKey: textOf(row, "image_key"),
    clientVersion: textOf(row, "client_version"),
    builderVersion: textOf(row, "builder_version"),
    files: await readFiles(deps, textsOf(row, "mount_ids")),
    secretIds: textsOf(row, "secret_ids"),
    timeoutMs: numberOf(row, "timeout_ms"),
    startupTimeoutMs: numberOf(row, "startup_timeout_ms"),
    maxConcurrentInputs: numberOf(row, "max_concurrent_inputs"),
    blockNetwork: booleanOf(row, "block_network"),
  };
}

async function readFiles({ db }: Pick<ServiceDeps, "db">, mountIds: readonly string[]): Promise<readonly ContainerFile[]> {
  if (mountIds.length === 0) return [];
  const { rows } = await db.engine.query<{ id: string; files: unknown }>("SELECT id, files FROM mount WHERE id = ANY($1)", [mountIds]);
  const filesOf = new Map(rows.map((row) => [row.id, asFiles(row.files)]));
  const byPath = new Map<string, ContainerFile>();
  for (const mountId of mountIds) for (const file of filesOf.get(mountId) ?? []) byPath.set(file.path, file);
  return [...byPath.values()];
}

function textsOf(row: Row, column: string): readonly string[] {
  const value = row[column];
  return Array.isArray(value) ? value.filter((each) => typeof each === "string") : [];
}

// Written by `createMount`, which makes each entry from these four fields.
function asFiles(value: unknown): readonly ContainerFile[] {
  return Array.isArray(value) ? (value as readonly ContainerFile[]) : [];
}
