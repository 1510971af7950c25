/** The container's own unix socket: held by the keeper, so that it outlives the agent behind it, and visible to this container only. */
import { chown } from "node:fs/promises";
import { join } from "node:path";
import type { ContainerHook } from "./hook.ts";
import { socketPath } from "./secrets.ts";

export interface Doors {
  openDoor(name: string, options: { path: string; mode?: number }): Promise<void>;
  closeDoor(name: string): Promise<void>;
}

export interface GatewayHookOptions {
  readonly doors: Doors;
  /** Folder of the sockets; short, because a unix path ends at 107 bytes. */
  readonly socketDir: string;
  /** Called before the door opens and after it closed: who answers behind it. */
  readonly attach: (containerId: string) => void;
  readonly detach: (containerId: string) => Promise<void>;
}

export function gatewayHook({ doors, socketDir, attach, detach }: GatewayHookOptions): ContainerHook {
  return {
    name: "gateway",
    async prepare({ desired: { containerId }, binds, uidBase }) {
      if (uidBase === undefined) throw new Error("no user ids claimed yet");
      const path = join(socketDir, `${containerId}.sock`);
      attach(containerId);
      await doors.openDoor(doorName(containerId), { path, mode: 0o600 });
      await chown(path, uidBase, uidBase);
      binds.push({ source: path, target: socketPath, readOnly: false });
    },
    async release(containerId) {
      await doors.closeDoor(doorName(containerId));
      await detach(containerId);
    },
  };
}

const doorPrefix = "container/";

export function doorName(containerId: string): string {
  return doorPrefix + containerId;
}

/** The container that a door belongs to; undefined for other doors. */
export function containerOfDoor(door: string): string | undefined {
  return door.startsWith(doorPrefix) ? door.slice(doorPrefix.length) : undefined;
}
