import { expect, test, vi } from "vitest";
import { drive } from "./driver.ts";

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

test("nudges of one moment are one activation, and one that comes during it leads to one more", async () => {
  let runs = 0;
  const gate = Promise.withResolvers<void>();
  const driven = drive(
    {
      name: "test",
      activate: async () => {
        runs++;
        if (runs === 1) await gate.promise;
        return undefined;
      },
    },
    silent,
  );
  for (let n = 0; n < 100; n++) driven.nudge();
  await vi.waitFor(() => expect(runs).toBe(1));
  for (let n = 0; n < 100; n++) driven.nudge();
  gate.resolve();
  await vi.waitFor(() => expect(runs).toBe(2));
  await driven.stop();
  expect(runs).toBe(2);
});

test("a failure is tried again by itself, and nothing runs after stop", async () => {
  vi.useFakeTimers();
  try {
    let runs = 0;
    const driven = drive(
      {
        name: "test",
        activate: async () => {
          runs++;
          if (runs === 1) throw new Error("the database is away");
          return 5_000;
        },
      },
      silent,
    );
    driven.nudge();
    await vi.advanceTimersByTimeAsync(1_100);
    expect(runs).toBe(2);
    await vi.advanceTimersByTimeAsync(5_100);
    expect(runs).toBe(3);
    await driven.stop();
    driven.nudge();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(runs).toBe(3);
  } finally {
    vi.useRealTimers();
  }
});
