import type { Role } from "../context.ts";

const roles: readonly Role[] = ["owner", "manager", "member", "viewer"];

/** `text` from the database as a role; throws when it is none. */
export function parseRole(text: string): Role {
  const role = roles.find((each) => each === text);
  if (!role) throw new Error(`unknown role ${text}`);
  return role;
}
