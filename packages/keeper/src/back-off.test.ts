import { expect, test } from "vitest";
import { countDeath, quickDeathMs, restartDelayMs } from "./back-off.ts";

test("the first three quick deaths are answered at once, later ones wait longer up to a bound", () => {
  expect([0, 1, 2, 3, 4, 5, 6, 20].map(restartDelayMs)).toEqual([0, 0, 0, 0, 500, 1000, 2000, 15_000]);
});

test("a long life starts the count anew", () => {
  expect(countDeath(7, quickDeathMs)).toBe(0);
  expect(countDeath(7, quickDeathMs - 1)).toBe(8);
});
