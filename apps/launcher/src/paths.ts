import { join, resolve } from "node:path";

/** Root of this clone. */
export const repository = resolve(import.meta.dirname, "../../..");

/** Where an instance keeps what. All but `cache` belong to one instance. */
export interface Paths {
  /** State that outlives the instance's processes. */
  readonly home: string;
  /** Downloads and builds, shared by all instances of the machine. */
  readonly cache: string;
}

/** SQUALL_HOME and SQUALL_CACHE with their defaults, made absolute. */
export function pathsFrom(env: Readonly<Record<string, string | undefined>>): Paths {
  return { home: resolve(env["SQUALL_HOME"] ?? "/var/lib/squall"), cache: resolve(env["SQUALL_CACHE"] ?? "/var/cache/squall") };
}

/** Folder of the sockets and pid files: short, since unix socket paths end at 107 bytes, and gone after a reboot. */
export function runFolder(instance: string): string {
  return join("/run/squall", instance);
}
