import { timingSafeEqual } from "node:crypto";
import { asId } from "@squall/core/ids";
import type { Actor, Role, ServiceContext, ServiceDeps } from "../context.ts";
import { parseRole } from "../workspace/role.ts";
import { hashToken } from "./hash.ts";

export interface AuthenticatedCaller {
  readonly actor: Actor;
  readonly workspace: ServiceContext["workspace"];
}

interface TokenRow {
  readonly id: string;
  readonly secret_hash: Uint8Array;
  readonly user_id: string;
  readonly role: string;
  readonly workspace_id: string;
  readonly workspace_name: string;
}

const tokenShape = /^ak-[A-Za-z0-9_-]{1,100}$/;

const findToken = {
  name: "authenticate token",
  text: `SELECT t.id, t.secret_hash, t.user_id, m.role, w.id AS workspace_id, w.name AS workspace_name
    FROM api_token t JOIN membership m ON m.workspace_id = t.workspace_id AND m.user_id = t.user_id JOIN workspace w ON w.id = t.workspace_id
    WHERE t.token_id = $1 AND t.revoked_at_ms IS NULL`,
};

/** Who holds this token, with the role of now; undefined when there is none, it was revoked, its secret is another, or its user left the workspace. */
export async function authenticateToken(deps: Pick<ServiceDeps, "db">, tokenId: string, secret: string): Promise<AuthenticatedCaller | undefined> {
  if (!tokenShape.test(tokenId)) return undefined;
  const { rows } = await deps.db.engine.query<TokenRow>({ ...findToken, values: [tokenId] });
  const row = rows[0];
  if (!row || !timingSafeEqual(hashToken(secret), row.secret_hash)) return undefined;
  const role: Role = parseRole(row.role);
  return {
    actor: { kind: "user", userId: asId("user", row.user_id), tokenId: asId("token", row.id), role },
    workspace: { id: asId("workspace", row.workspace_id), name: row.workspace_name },
  };
}
