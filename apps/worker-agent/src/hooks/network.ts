/** A range of user ids and a network namespace of the container's own, both from the runtime's pools. */

import type { RuntimePort } from "../runtime-port.ts";
import type { ContainerHook } from "./hook.ts";

export function networkHook(runtime: Pick<RuntimePort, "claimIdentity" | "releaseIdentity" | "takeNetwork" | "releaseNetwork">): ContainerHook {
  return {
    name: "network",
    async prepare(plan) {
      const { containerId, blockNetwork } = plan.desired;
      plan.uidBase = runtime.claimIdentity(containerId).uidBase;
      plan.network = await runtime.takeNetwork(containerId, { blockNetwork });
    },
    async release(containerId) {
      await runtime.releaseNetwork(containerId);
      await runtime.releaseIdentity(containerId);
    },
  };
}
