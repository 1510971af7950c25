/** The system user that owns the database's files: PostgreSQL refuses to run as root, and nobody else shall own its data. */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";

const run = promisify(execFile);

export const systemUserName = "squall-postgres";

export interface SystemUser {
  readonly uid: number;
  readonly gid: number;
}

/** The user's numbers; makes the user when it is missing (needs root and `useradd`). Safe to call from several processes at once. */
export async function ensureSystemUser(): Promise<SystemUser> {
  const present = await findUser();
  if (present) return present;
  const failure = await run("useradd", [
    "--system",
    "--user-group",
    "--no-create-home",
    "--home-dir",
    "/nonexistent",
    "--shell",
    "/usr/sbin/nologin",
    systemUserName,
  ]).then(
    () => undefined,
    (error: unknown) => error,
  );
  const made = await findUser();
  if (!made) throw new Error(`make the system user ${systemUserName}`, { cause: failure });
  return made;
}

async function findUser(): Promise<SystemUser | undefined> {
  const line = (await readFile("/etc/passwd", "utf8")).split("\n").find((text) => text.startsWith(`${systemUserName}:`));
  const [, , uid, gid] = line?.split(":") ?? [];
  return uid === undefined || gid === undefined ? undefined : { uid: Number(uid), gid: Number(gid) };
}
