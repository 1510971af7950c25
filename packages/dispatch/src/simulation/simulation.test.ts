import { expect, test } from "vitest";
import type { PlantedBug } from "../planted-bug.ts";
import { runSchedule } from "./run.ts";

const schedules = process.env["SQUALL_LONG"] === "1" ? 10_000 : 2_000;
const schedulesPerBug = 300;

test(`${schedules} schedules of kills, losses and repeats: nothing lost, doubled, changed or stuck`, { timeout: 600_000 }, () => {
  const totals: Record<string, number> = {};
  for (let seed = 1; seed <= schedules; seed++) {
    const { violations, counters } = runSchedule(seed);
    expect({ seed, violations }).toEqual({ seed, violations: [] });
    for (const [name, count] of Object.entries(counters)) totals[name] = (totals[name] ?? 0) + count;
  }
  process.stdout.write(`${schedules} schedules, 0 lost, 0 double results, 0 stuck: ${JSON.stringify(totals)}\n`);
});

const plantedBugs: readonly PlantedBug[] = [
  "noFence",
  "forgetRedelivery",
  "noHold",
  "noAdopt",
  "sameRetryCount",
  "lossesCountAsFailures",
  "unboundedLosses",
  "cancelForgetsQueued",
  "sequenceRestarts",
  "forgetUndelivered",
  "unboundedCrashLoop",
  "forgetDelayed",
  "publishBeforeStored",
  "replyBeforeStored",
  "noIdempotency",
];

test.each(plantedBugs)("the planted bug %s is noticed", { timeout: 60_000 }, (plantedBug) => {
  for (let seed = 1; seed <= schedulesPerBug; seed++) {
    if (runSchedule(seed, plantedBug).violations.length > 0) return;
  }
  expect.fail(`${schedulesPerBug} schedules did not notice ${plantedBug}`);
});

test("the same seed gives the same schedule", () => {
  expect(runSchedule(7)).toEqual(runSchedule(7));
});
