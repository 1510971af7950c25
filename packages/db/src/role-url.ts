import type { DatabaseRole } from "./embedded/postgres.ts";

/**
 * The connection string for a role of an outside database (DATABASE_URL): the same user, who takes the role at connect. The migration grants both
 * roles to the user who runs it.
 */
export function roleUrl(databaseUrl: string, role: Exclude<DatabaseRole, "owner">): string {
  const url = new URL(databaseUrl);
  const options = url.searchParams.get("options");
  url.searchParams.set("options", [options, `-c role=${role}`].filter(Boolean).join(" "));
  return url.href;
}
