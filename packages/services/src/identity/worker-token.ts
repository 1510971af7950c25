import { createHash } from "node:crypto";
import type { ServiceDeps } from "../context.ts";

/** Whether an agent may join with `token`. The look-up is by hash, so its time tells nothing about the token. */
export async function isWorkerToken({ db }: Pick<ServiceDeps, "db">, token: string): Promise<boolean> {
  const hash = createHash("sha256").update(token).digest();
  const { rowCount } = await db.engine.query("SELECT 1 FROM worker_token WHERE token_hash = $1 AND revoked_at_ms IS NULL", [hash]);
  return rowCount === 1;
}
