import { closeSync, existsSync, openSync, readSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";

/** A log past this size is put aside (one generation) at the next start. */
const rotateAboveBytes = 64 * 1024 * 1024;
const tailBytes = 2048;

/** Opens the log of a service of this instance for appending. Close it when the child has inherited it. */
export function openServiceLog(home: string, name: string): { readonly fd: number; readonly close: () => void } {
  const path = serviceLogPath(home, name);
  if (existsSync(path) && statSync(path).size > rotateAboveBytes) renameSync(path, `${path}.1`);
  const fd = openSync(path, "a", 0o600);
  return { fd, close: () => closeSync(fd) };
}

export function serviceLogPath(home: string, name: string): string {
  return join(home, "service-logs", `${name}.log`);
}

/** The last lines of a service's log, at most 2 KiB. */
export function tailOf(home: string, name: string): string {
  const path = serviceLogPath(home, name);
  if (!existsSync(path)) return "(no log)";
  const fd = openSync(path, "r");
  const size = statSync(path).size;
  const buffer = Buffer.alloc(Math.min(size, tailBytes));
  readSync(fd, buffer, 0, buffer.length, size - buffer.length);
  closeSync(fd);
  return buffer.toString();
}
