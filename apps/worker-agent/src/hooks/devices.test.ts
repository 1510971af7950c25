import { create } from "@bufbuild/protobuf";
import { InventorySchema } from "@squall/protocol/agent";
import { describe, expect, test } from "vitest";
import { gpuType, parseSmi } from "../inventory.ts";
import { Cards } from "./devices.ts";

const inventory = create(InventorySchema, {
  gpus: [
    { type: "A100", count: 2, fake: true },
    { type: "T4", count: 1, uuids: ["GPU-1"] },
  ],
});

describe("cards", () => {
  test("a card is held by one container at a time", () => {
    const cards = new Cards(inventory);
    expect(cards.claim("ta-1", { type: "A100", count: 2 })).toHaveLength(2);
    expect(() => cards.claim("ta-2", { type: "A100", count: 1 })).toThrow("1 × A100 wanted, 0 free of 2 on this worker");
    expect(cards.claim("ta-2", { type: "ANY", count: 1 })).toMatchObject([{ uuid: "GPU-1" }]);
    cards.release("ta-1");
    expect(cards.claim("ta-3", { type: "A100", count: 1 })).toHaveLength(1);
  });

  test("a claim that does not fit holds nothing", () => {
    const cards = new Cards(inventory);
    expect(() => cards.claim("ta-1", { type: "A100", count: 3 })).toThrow("2 free of 2");
    expect(cards.held("ta-1")).toEqual([]);
  });

  test("claims of an earlier agent are kept", () => {
    const cards = new Cards(inventory);
    cards.reclaim("ta-1", ["GPU-1"]);
    expect(() => cards.claim("ta-2", { type: "T4", count: 1 })).toThrow("0 free of 1");
  });
});

describe("inventory", () => {
  test("cards are named as users ask for them", () => {
    const names = [
      "NVIDIA A100-SXM4-80GB",
      "NVIDIA A100-SXM4-40GB",
      "NVIDIA H100 80GB HBM3",
      "Tesla T4",
      "NVIDIA L40S",
      "NVIDIA A10G",
      "NVIDIA GeForce RTX 4090",
    ];
    expect(names.map(gpuType)).toEqual(["A100-80GB", "A100", "H100", "T4", "L40S", "A10G", "GEFORCE-RTX-4090"]);
  });

  test("equal cards are counted, with their ids and memory", () => {
    expect(parseSmi("NVIDIA H100 80GB HBM3, 81559, GPU-a\nNVIDIA H100 80GB HBM3, 81559, GPU-b\n\n")).toMatchObject([
      { type: "H100", count: 2, uuids: ["GPU-a", "GPU-b"], memoryBytes: 81559n << 20n },
    ]);
  });
});
