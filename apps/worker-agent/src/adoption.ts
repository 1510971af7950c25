/**
 * A restarted agent finds the containers of the one before it: what still runs behind a door that the keeper holds is taken over, what ended meanwhile is
 * reported with the inputs that it held, and what nobody can reach any more is removed.
 */
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { isId } from "@squall/core/ids";
import type { Logger } from "pino";
import { readState } from "./container-state.ts";
import type { Containers } from "./containers.ts";
import { containerOfDoor, doorName } from "./hooks/gateway.ts";
import { type ContainerHook, releaseAll } from "./hooks/hook.ts";
import type { RuntimePort } from "./runtime-port.ts";

export interface AdoptionOptions {
  readonly runtime: Pick<RuntimePort, "listContainers" | "adopt" | "kill">;
  readonly containers: Containers;
  readonly hooks: readonly ContainerHook[];
  readonly containersDir: string;
  /** Doors that the keeper holds for us. */
  readonly openDoors: readonly string[];
  readonly closeDoor: (name: string) => Promise<void>;
  readonly attach: (containerId: string) => void;
  readonly log: Logger;
}

/** Resolves with the number of containers taken over. Nothing may be started before. */
export async function adoptContainers(options: AdoptionOptions): Promise<number> {
  const { runtime, containers, hooks, containersDir, openDoors, attach, log } = options;
  const leased = (await runtime.listContainers()).filter((name) => isId("container", name));
  await removeUnleased(containersDir, leased);
  let adopted = 0;
  for (const containerId of leased) {
    const state = await readState(join(containersDir, containerId));
    const found = await runtime.adopt(containerId).catch((error: unknown) => {
      log.warn({ err: error, container: containerId }, "cannot be adopted");
      return "lost" as const;
    });
    if (!state || found === "lost") {
      await runtime.kill(containerId).catch((error: unknown) => log.debug({ err: error }, "nothing to kill"));
      for (const failure of await releaseAll(hooks, containerId))
        log.error({ err: failure, container: containerId }, "a part of a lost container is left behind");
      continue;
    }
    attach(containerId);
    const runner = containers.adopt(state);
    if (found === "running" && !openDoors.includes(doorName(containerId)))
      runner.stop({ graceful: false, reason: "its socket was lost with the agent's keeper" });
    adopted += 1;
  }
  await closeOrphanedDoors(options);
  return adopted;
}

/** An agent that was killed between opening a container's door and claiming its lease leaves the door with the keeper. */
async function closeOrphanedDoors({ openDoors, containers, closeDoor }: AdoptionOptions): Promise<void> {
  for (const door of openDoors) {
    const containerId = containerOfDoor(door);
    if (containerId !== undefined && !containers.find(containerId)) await closeDoor(door);
  }
}

/** Folders of containers that were killed before they had anything: no mount, no process, no network. */
async function removeUnleased(containersDir: string, leased: readonly string[]): Promise<void> {
  const folders = (await readdir(containersDir)).filter((name) => isId("container", name) && !leased.includes(name));
  for (const name of folders) await rm(join(containersDir, name), { recursive: true, force: true });
}
