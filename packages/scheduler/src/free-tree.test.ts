import { expect, test } from "vitest";
import { FreeTree } from "./free-tree.ts";

const none = new Map<string, number>();

test("the first worker with enough of everything is found, and what was taken is gone", () => {
  const tree = new FreeTree(3);
  tree.set(0, { milliCpu: 1000, memoryBytes: 10, starts: 1, gpus: none });
  tree.set(1, { milliCpu: 4000, memoryBytes: 5, starts: 1, gpus: none });
  tree.set(2, { milliCpu: 4000, memoryBytes: 20, starts: 1, gpus: new Map([["A100", 2]]) });
  tree.build();
  const need = { milliCpu: 2000, memoryBytes: 10, starts: 1, gpuType: undefined, gpuCount: 0 };
  expect(tree.find(need)).toBe(2);
  expect(tree.find({ ...need, gpuType: "A100", gpuCount: 2 })).toBe(2);
  expect(tree.find({ ...need, gpuType: "H100", gpuCount: 1 })).toBe(-1);
  tree.take(2, { milliCpu: 3000, memoryBytes: 0, starts: 0, gpus: new Map([["A100", 0]]) });
  expect(tree.find(need)).toBe(-1);
  expect(tree.find({ ...need, milliCpu: 1000, gpuType: "A100", gpuCount: 1 })).toBe(-1);
});

test("growth law: ten times the workers cost a decision a few more steps, not ten times", () => {
  const visitsPerDecision = (hosts: number) => {
    const tree = new FreeTree(hosts);
    for (let host = 0; host < hosts; host++) tree.set(host, { milliCpu: 64_000, memoryBytes: 512, starts: 128, gpus: new Map([["H100", 8]]) });
    tree.build();
    for (let i = 0; i < 10_000; i++) {
      const used = { milliCpu: 1000 * (1 + (i % 4)), memoryBytes: 2 + (i % 13), starts: 1 };
      const gpus = i % 3 === 0 ? 1 : 0;
      const host = tree.find({ ...used, gpuType: gpus === 1 ? "H100" : undefined, gpuCount: gpus });
      tree.take(host, { ...used, gpus: gpus === 1 ? new Map([["H100", tree.freeGpus(host, "H100") - 1]]) : undefined });
    }
    return tree.visits / 10_000;
  };
  const small = visitsPerDecision(1000);
  expect(small).toBeLessThan(40);
  expect(visitsPerDecision(10_000)).toBeLessThan(small * 2);
});
