/** The first workspace, its operator and the tokens that the launcher made: idempotent, run by the api at every start. */
import { asId, type Id, newId } from "@squall/core/ids";
import type { Transaction } from "@squall/db/database";
import type { ServiceDeps } from "../context.ts";
import { hashToken } from "../token/hash.ts";

export interface BootstrapInput {
  /** `ak-…` and `as-…` of operator.json. */
  readonly operatorToken: { readonly tokenId: string; readonly secret: string };
  /** What the agents of this instance join with. */
  readonly workerToken: string;
}

/** Makes what is missing of workspace `main`, user `operator` (owner), environment `main` and both tokens. Tokens that changed on disk are added. */
export async function bootstrapWorkspace(deps: Pick<ServiceDeps, "db" | "clock" | "random">, input: BootstrapInput): Promise<void> {
  const { rows } = await deps.db.engine.query<{ id: string }>("SELECT id FROM workspace WHERE name = 'main'");
  const workspaceId = rows[0] ? asId("workspace", rows[0].id) : newId("workspace", deps);
  await deps.db.transaction(workspaceId, async (tx) => {
    if (!rows[0]) await makeWorkspace(tx, deps, workspaceId);
    await ensureOperatorToken(tx, deps, { workspaceId, ...input.operatorToken });
  });
  await deps.db.engine.query("INSERT INTO worker_token (id, token_hash, created_at_ms) VALUES ($1, $2, $3) ON CONFLICT (token_hash) DO NOTHING", [
    newId("token", deps),
    hashToken(input.workerToken),
    deps.clock.now(),
  ]);
}

async function makeWorkspace(tx: Transaction, deps: Pick<ServiceDeps, "clock" | "random">, workspaceId: Id<"workspace">): Promise<void> {
  const createdAtMs = BigInt(deps.clock.now());
  const userId = newId("user", deps);
  // createMany asks for nothing back: a user is readable only once there is a membership.
  await tx.workspace.create({ data: { id: workspaceId, name: "main", createdAtMs } });
  await tx.appUser.createMany({ data: [{ id: userId, name: "operator", createdAtMs }] });
  await tx.membership.create({ data: { id: newId("membership", deps), workspaceId, userId, role: "owner", createdAtMs } });
  await tx.environment.create({ data: { id: newId("environment", deps), workspaceId, name: "main", isDefault: true, createdAtMs } });
}

async function ensureOperatorToken(
  tx: Transaction,
  deps: Pick<ServiceDeps, "clock" | "random">,
  { workspaceId, tokenId, secret }: { workspaceId: Id<"workspace">; tokenId: string; secret: string },
): Promise<void> {
  const present = await tx.apiToken.findFirst({ where: { workspaceId, tokenId } });
  if (present) return;
  const owner = await tx.membership.findFirstOrThrow({ where: { workspaceId, role: "owner" }, orderBy: { id: "asc" } });
  const row = { id: newId("token", deps), workspaceId, userId: owner.userId, tokenId, name: "operator", createdAtMs: BigInt(deps.clock.now()) };
  await tx.apiToken.create({ data: { ...row, secretHash: hashToken(secret) } });
}
