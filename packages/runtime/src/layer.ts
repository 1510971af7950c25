import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { RuntimeError } from "./error.ts";
import { initTarget } from "./spec/build.ts";

/**
 * Real folders above the image: a runtime that meets an image's symbolic link at /dev, /proc, /sys or /etc/hosts would follow it, in the worst case onto the
 * host. Modes are those of Debian.
 */
const ownDirectories: readonly (readonly [string, number])[] = [
  ["/", 0o755],
  ["/dev", 0o755],
  ["/proc", 0o755],
  ["/sys", 0o755],
  ["/etc", 0o755],
  ["/root", 0o700],
  ["/__modal", 0o755],
  ["/__modal/.bin", 0o755],
];

const ownFiles = ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf", initTarget];

/** The writable layer (`u`) and the overlay's work folder (`w`) in an empty file system. */
export function makeLayer(scratchPath: string): void {
  const upperPath = layerPath(scratchPath);
  mkdirSync(path.join(scratchPath, "w"));
  for (const [directory, mode] of ownDirectories) {
    mkdirSync(path.join(upperPath, directory));
    chmodSync(path.join(upperPath, directory), mode); // whatever the umask
  }
  for (const file of ownFiles) makeMountPoint(upperPath, file);
}

/** Where the host writes what a container shall find. */
export function layerPath(scratchPath: string): string {
  return path.join(scratchPath, "u");
}

/** An empty file to bind something onto, by its path inside. */
export function makeMountPoint(upperPath: string, target: string): void {
  const file = inside(upperPath, target);
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o755 });
  writeFileSync(file, "", { mode: 0o644 });
}

/** Joins a path that the container sees to the writable layer; refuses one that would leave it. */
export function inside(upperPath: string, target: string): string {
  const joined = path.join(upperPath, target);
  if (!target.startsWith("/") || !joined.startsWith(`${upperPath}/`)) throw new RuntimeError("prepare root", `${target} is not a path inside the container`);
  return joined;
}
