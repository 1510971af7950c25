/** The audit log: who did what to which object, in a chain per workspace that shows when a row was changed or left out. */
import { createHash } from "node:crypto";
import { type Id, newId } from "@squall/core/ids";
import type { Transaction } from "@squall/db/database";
import type { ServiceContext } from "./context.ts";

export interface AuditEntry {
  /** `<resource>.<past tense>`: `secret.created`. */
  readonly action: string;
  readonly resourceId: string;
  /** Plain values for people; never a secret's value. */
  readonly details: Readonly<Record<string, string | number | boolean | readonly string[]>>;
}

const beginning = new Uint8Array(32);

/** Adds the row in the caller's transaction: it stands when the change stands. Call it last, since it holds the workspace's chain until the commit. */
export async function writeAudit(tx: Transaction, ctx: ServiceContext<"clock" | "random">, entry: AuditEntry): Promise<void> {
  await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${`audit ${ctx.workspace.id}`}, 0))`;
  const last = await tx.auditEvent.findFirst({ where: { workspaceId: ctx.workspace.id }, orderBy: { seq: "desc" }, select: { seq: true, hash: true } });
  const row = {
    id: newId("auditEvent", ctx.deps),
    workspaceId: ctx.workspace.id,
    seq: (last?.seq ?? 0n) + 1n,
    actor: { ...ctx.actor },
    action: entry.action,
    resourceId: entry.resourceId,
    details: { ...entry.details },
    atMs: BigInt(ctx.deps.clock.now()),
  };
  const previousHash = last?.hash ?? beginning;
  await tx.auditEvent.create({ data: { ...row, previousHash, hash: chainHash(previousHash, row) } });
}

interface ChainedRow {
  readonly id: string;
  readonly seq: bigint;
  readonly actor: unknown;
  readonly action: string;
  readonly resourceId: string;
  readonly details: unknown;
  readonly atMs: bigint;
}

/** Recomputes the whole chain of a workspace. The sequence number of the first row that does not fit, or undefined when all do. */
export async function findBrokenAudit(tx: Transaction, workspaceId: Id<"workspace">): Promise<number | undefined> {
  const rows = await tx.auditEvent.findMany({ where: { workspaceId }, orderBy: { seq: "asc" } });
  let previousHash: Uint8Array = beginning;
  let expected = 1n;
  for (const row of rows) {
    const isRight = row.seq === expected && sameBytes(row.previousHash, previousHash) && sameBytes(row.hash, chainHash(previousHash, row));
    if (!isRight) return Number(row.seq);
    previousHash = row.hash;
    expected++;
  }
  return undefined;
}

function chainHash(previousHash: Uint8Array, row: ChainedRow): Uint8Array<ArrayBuffer> {
  const { id, actor, action, resourceId, details } = row;
  const content = canonical([id, row.seq.toString(), actor, action, resourceId, details, row.atMs.toString()]);
  return new Uint8Array(createHash("sha256").update(previousHash).update(content).digest());
}

/** JSON with sorted keys: PostgreSQL does not keep the order of a jsonb object. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const entries = Object.entries(value).filter(([, each]) => each !== undefined);
  return `{${entries
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, each]) => `${JSON.stringify(key)}:${canonical(each)}`)
    .join(",")}}`;
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
