/** Whole GPU cards for one container at a time. Fake cards exist in name only: they get the environment of a card and no device. */
import type { Inventory } from "@squall/protocol/agent";
import type { DeviceEdits } from "../runtime-port.ts";
import type { ContainerHook } from "./hook.ts";

interface Card {
  readonly type: string;
  readonly uuid: string;
  readonly isFake: boolean;
}

/** Which container holds which card of this machine. */
export class Cards {
  readonly #cards: readonly Card[];
  readonly #holders = new Map<string, string>();

  constructor({ gpus }: Pick<Inventory, "gpus">) {
    this.#cards = gpus.flatMap((gpu) =>
      Array.from({ length: gpu.count }, (_, index) => ({
        type: gpu.type,
        uuid: gpu.uuids[index] ?? `${gpu.fake ? "fake-" : ""}${gpu.type}-${index}`,
        isFake: gpu.fake,
      })),
    );
  }

  /** `ANY` and the empty type match every card. Throws when too few are free; holds nothing then. */
  claim(containerId: string, { type, count }: { type: string; count: number }): readonly Card[] {
    const matching = this.#cards.filter((card) => type === "ANY" || type === "" || card.type === type);
    const free = matching.filter((card) => (this.#holders.get(card.uuid) ?? containerId) === containerId);
    if (free.length < count) throw new Error(`${count} × ${type} wanted, ${free.length} free of ${matching.length} on this worker`);
    const claimed = free.slice(0, count);
    for (const card of claimed) this.#holders.set(card.uuid, containerId);
    return claimed;
  }

  /** Takes over what an earlier agent claimed for a container that lives on. */
  reclaim(containerId: string, uuids: readonly string[]): void {
    for (const uuid of uuids) this.#holders.set(uuid, containerId);
  }

  held(containerId: string): string[] {
    return this.#cards.flatMap((card) => (this.#holders.get(card.uuid) === containerId ? card.uuid : []));
  }

  release(containerId: string): void {
    for (const uuid of this.held(containerId)) this.#holders.delete(uuid);
  }
}

export type EditsOf = (uuids: readonly string[]) => DeviceEdits;

/** `editsOf` reads what real cards need from the machine's CDI specification. */
export function devicesHook(cards: Cards, editsOf: EditsOf): ContainerHook {
  return {
    name: "devices",
    async prepare({ desired, environment, devices }) {
      const { containerId, gpuType: type, gpuCount: count } = desired;
      if (count === 0) return;
      const claimed = cards.claim(containerId, { type, count });
      const real = claimed.filter((card) => !card.isFake).map((card) => card.uuid);
      environment["NVIDIA_VISIBLE_DEVICES"] = real.length > 0 ? real.join(",") : "void";
      environment["SQUALL_GPU"] = claimed.map((card) => (card.isFake ? `${card.type} (fake)` : card.type)).join(",");
      if (real.length > 0) devices.push(editsOf(real));
    },
    async release(containerId) {
      cards.release(containerId);
    },
  };
}
