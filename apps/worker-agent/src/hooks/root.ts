/** Mounts image and writable layer as one root that the container's own user ids own. Undone with the layer itself, by the files hook. */
import type { RuntimePort } from "../runtime-port.ts";
import type { ContainerHook } from "./hook.ts";

export function rootHook(runtime: Pick<RuntimePort, "mountRoot">): ContainerHook {
  return {
    name: "root",
    async prepare({ desired: { containerId }, lowers, uidBase }) {
      if (uidBase === undefined) throw new Error("no user ids claimed yet");
      await runtime.mountRoot({ containerId, lowers, uidBase });
    },
    async release() {
      // `releaseRoot` of the files hook unmounts and deletes.
    },
  };
}
