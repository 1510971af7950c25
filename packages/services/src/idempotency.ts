/** Creating verbs that clients repeat when an answer was lost: the same key makes one object. */
import { createHash } from "node:crypto";
import { ServiceError } from "@squall/core/errors";
import type { Transaction } from "@squall/db/database";
import type { ServiceContext } from "./context.ts";

export interface Once {
  /** The verb's name: one key may be used by different verbs. */
  readonly verb: string;
  /** What was asked, as JSON values; it is stored as a hash only. Must hold no secret, not even hashed: give a keyed fingerprint of it. */
  readonly request: unknown;
  /** Makes the object and returns its id. */
  readonly make: () => Promise<string>;
}

/**
 * Runs `make` unless this workspace has an answer under the request's idempotency key already; returns the id that was made then or now. The same key
 * with another request is refused. Two at once: the second waits for the first. Without a key `make` runs.
 */
export async function makeOnce(tx: Transaction, ctx: ServiceContext<"clock">, { verb, request, make }: Once): Promise<{ id: string; isRepeated: boolean }> {
  const { idempotencyKey: key } = ctx;
  if (key === undefined) return { id: await make(), isRepeated: false };
  const row = { workspaceId: ctx.workspace.id, key: checkKey(key), rpc: verb };
  const requestHash = new Uint8Array(createHash("sha256").update(JSON.stringify(request)).digest());
  const claim = { ...row, requestHash, response: new Uint8Array(), createdAtMs: BigInt(ctx.deps.clock.now()) };
  const { count } = await tx.idempotencyRecord.createMany({ data: [claim], skipDuplicates: true });
  if (count === 0) return { id: await readAnswer(tx, row, requestHash), isRepeated: true };
  const id = await make();
  await tx.idempotencyRecord.update({ where: { workspaceId_key_rpc: row }, data: { response: new TextEncoder().encode(id) } });
  return { id, isRepeated: false };
}

async function readAnswer(tx: Transaction, row: { workspaceId: string; key: string; rpc: string }, requestHash: Uint8Array): Promise<string> {
  const found = await tx.idempotencyRecord.findUniqueOrThrow({ where: { workspaceId_key_rpc: row } });
  if (Buffer.compare(found.requestHash, requestHash) !== 0) throw new ServiceError("alreadyExists", "This idempotency key was used for another request.");
  return new TextDecoder().decode(found.response);
}

function checkKey(key: string): string {
  if (key.length === 0 || key.length > 128) throw new ServiceError("invalidArgument", "The idempotency key must have 1 to 128 characters.");
  return key;
}
