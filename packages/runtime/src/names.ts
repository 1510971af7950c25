import path from "node:path";

/** Six lower-case letters that tell instances on one machine apart. */
const instancePattern = /^[a-z]{6}$/;
const containerPattern = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;

/** Refuses what could name an object that is not ours: every name below is used to kill and remove. */
export function checkInstance(instance: string): void {
  if (!instancePattern.test(instance)) throw new Error(`not an instance name: ${JSON.stringify(instance)}`);
}

/** Refuses container ids that could leave their folder or cgroup. */
export function checkContainerId(containerId: string): void {
  if (!containerPattern.test(containerId)) throw new Error(`not a container id: ${JSON.stringify(containerId)}`);
}

/** Parent of all cgroups of an instance. */
export function instanceCgroup(instance: string): string {
  checkInstance(instance);
  return `/sq-${instance}`;
}

/** Own parent cgroup of a container; the runtime's leaf is `main` below it. */
export function containerCgroup(instance: string, containerId: string): string {
  checkContainerId(containerId);
  return `${instanceCgroup(instance)}/${containerId}`;
}

/** What the names of all interfaces of an instance begin with. */
export function linkPrefix(instance: string): string {
  checkInstance(instance);
  return `sq-${instance}-`;
}

/** Host end of a container link; at most 15 characters (IFNAMSIZ). */
export function linkName(instance: string, slot: number): string {
  return `${linkPrefix(instance)}${slot.toString(36)}`;
}

/** The interface that holds the host's address on all links. */
export function hostInterfaceName(instance: string): string {
  return `${linkPrefix(instance)}host`;
}

/** Files of one container. The formats of the shim's files are documented in native's c/shim.c. */
export function containerFiles(containersDir: string, containerId: string) {
  checkContainerId(containerId);
  const dir = path.join(containersDir, containerId);
  return {
    dir,
    root: path.join(dir, "root"),
    upper: path.join(dir, "upper"),
    etc: path.join(dir, "etc"),
    lease: path.join(dir, "lease.json"),
    config: path.join(dir, "config.json"),
    shimConfig: path.join(dir, "shim.conf"),
    events: path.join(dir, "events"),
    started: path.join(dir, "started.json"),
    exit: path.join(dir, "exit.json"),
  };
}
