/**
 * The container's environment: what the runtime needs, around what the user's secrets and function set. It exists in memory, in the runtime's
 * configuration file (deleted once the container runs) and in the container; it is never logged.
 */
import type { ContainerHook } from "./hook.ts";

export const argumentsPath = "/__modal/arguments.bin";
export const socketPath = "/__modal/server.sock";

const defaults: Readonly<Record<string, string>> = {
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  HOME: "/root",
  LANG: "C.UTF-8",
};

export function secretsHook(): ContainerHook {
  return {
    name: "secrets",
    async prepare({ desired, environment }) {
      Object.assign(environment, defaults, desired.environment);
      const userPath = desired.environment["PYTHONPATH"];
      Object.assign(environment, {
        PYTHONPATH: userPath ? `/root:/pkg:${userPath}` : "/root:/pkg",
        MODAL_IS_REMOTE: "1",
        MODAL_SERVER_URL: `unix://${socketPath}`,
        MODAL_CONTAINER_ARGUMENTS_PATH: argumentsPath,
        MODAL_TASK_ID: desired.containerId,
        MODAL_IMAGE_ID: desired.imageId,
        MODAL_ENVIRONMENT: desired.environmentName,
      });
    },
    async release() {
      // Nothing of it outlives the start but the container's own environment.
    },
  };
}
