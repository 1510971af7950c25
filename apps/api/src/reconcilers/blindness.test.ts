import { asId } from "@squall/core/ids";
import type { WorkerRecord } from "@squall/services/cluster/state";
import { expect, test } from "vitest";
import { Blindness } from "./blindness.ts";
import { silentWorkers } from "./reap-workers.ts";

function worker(n: number, lastHeardMs: number): WorkerRecord {
  const workerId = asId("worker", `wo-${String(n).padStart(22, "0")}`);
  return { workerId, name: `w${n}`, epoch: 1, state: "online", milliCpu: 1, memoryBytes: 1, gpus: [], isConnected: true, lastHeardMs };
}

const silentAt = (workers: readonly WorkerRecord[], nowMs: number) =>
  silentWorkers(workers, { leaseMs: 30_000, silentForMs: (heardMs) => nowMs - heardMs }).map((id) => Number(id.slice(3)));

test("silence is counted from the last word", () => {
  const blindness = new Blindness(0, 1_000);
  for (let nowMs = 1_000; nowMs <= 40_000; nowMs += 1_000) blindness.look(nowMs);
  expect(blindness.silentForMs(10_000, 40_000)).toBe(30_000);
});

test("time in which we ourselves were away does not count", () => {
  const blindness = new Blindness(0, 1_000);
  blindness.look(1_000);
  blindness.look(61_000); // frozen for a minute
  expect(blindness.silentForMs(500, 61_000)).toBe(0);
  expect(blindness.silentForMs(500, 71_000)).toBe(10_000);
});

test("time in which the database was away does not count", () => {
  const blindness = new Blindness(0, 1_000);
  for (let nowMs = 1_000; nowMs <= 31_000; nowMs += 1_000) blindness.look(nowMs, nowMs >= 2_000);
  expect(blindness.silentForMs(0, 31_000)).toBe(0);
});

test("a silent worker is lost after its lease; when most fall silent together they get a second one", () => {
  expect(silentAt([worker(1, 0)], 29_999)).toEqual([]);
  expect(silentAt([worker(1, 0)], 30_000)).toEqual([1]);
  expect(silentAt([worker(1, 0), worker(2, 30_000), worker(3, 30_000)], 30_000)).toEqual([1]);
  const most = [worker(1, 0), worker(2, 0), worker(3, 30_000)];
  expect(silentAt(most, 59_999)).toEqual([]);
  expect(silentAt(most, 60_000)).toEqual([1, 2]);
});
