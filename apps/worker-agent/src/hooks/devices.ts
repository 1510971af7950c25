/** Whole GPU cards for one container at a time. Fake cards exist in name only: they get the environment of a card and no device. */
import type { Inventory } from "@squall/protocol/agent";
import type { ContainerHook } from "./hook.ts";
import type { DeviceEdits } from "../runtime-port.ts";

interface Card {
  readonly type: string;
  readonly uuid: string;
  readonly isFake: boolean;
  holder: string | undefined;
}

export type EditsOf = (uuids: readonly string[]) => Promise<DeviceEdits>;

/** `editsOf` reads what a real card needs from the machine's CDI specification. */
export function devicesHook(inventory: Pick<Inventory, "gpus">, editsOf: EditsOf): ContainerHook {
  const cards: Card[] = inventory.gpus.flatMap((gpu) =>
    Array.from({ length: gpu.count }, (_, index) => ({ type: gpu.type, uuid: gpu.uuids[index] ?? `${gpu.type}-${index}`, isFake: gpu.fake, holder: undefined })),
  );
  return {
    name: "devices",
    async prepare({ desired, environment, devices }) {
      const { containerId, gpuType, gpuCount } = desired;
      if (gpuCount === 0) return;
      const matching = cards.filter((card) => gpuType === "ANY" || gpuType === "" || card.type === gpuType);
      const claimed = matching.filter((card) => card.holder === undefined || card.holder === containerId).slice(0, gpuCount);
      if (claimed.length < gpuCount) throw new Error(`${gpuCount} × ${gpuType} wanted, ${claimed.length} free of ${matching.length} on this worker`);
      for (const card of claimed) card.holder = containerId;
      const real = claimed.filter((card) => !card.isFake).map((card) => card.uuid);
      environment["NVIDIA_VISIBLE_DEVICES"] = real.length > 0 ? real.join(",") : "void";
      environment["SQUALL_GPU"] = claimed.map((card) => (card.isFake ? `${card.type} (fake)` : card.type)).join(",");
      if (real.length > 0) devices.push(await editsOf(real));
    },
    async release(containerId) {
      for (const card of cards) if (card.holder === containerId) card.holder = undefined;
    },
  };
}
