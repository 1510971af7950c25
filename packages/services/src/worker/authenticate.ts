import { createHash } from "node:crypto";
import type { ServiceDeps } from "../context.ts";

/** The hash under which a worker's token is known; undefined when it is none of ours or was revoked. Only hashes are compared and stored. */
export async function authenticateWorker({ deps, token }: { deps: Pick<ServiceDeps, "db">; token: string }): Promise<Buffer | undefined> {
  const hash = createHash("sha256").update(token).digest();
  const { rowCount } = await deps.db.engine.query("SELECT 1 FROM worker_token WHERE token_hash = $1 AND revoked_at_ms IS NULL", [hash]);
  return rowCount === 1 ? hash : undefined;
}
