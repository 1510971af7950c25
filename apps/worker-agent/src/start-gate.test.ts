import { expect, test } from "vitest";
import { StartGate } from "./start-gate.ts";

const never = new AbortController().signal;

test("at most the limit is inside, and those who wait enter in order", async () => {
  const gate = new StartGate(1);
  const leave = await gate.enter(never);
  const entered: string[] = [];
  const second = gate.enter(never).then((leaveSecond) => {
    entered.push("second");
    return leaveSecond;
  });
  const third = gate.enter(never).then(() => entered.push("third"));
  leave();
  leave();
  const leaveSecond = await second;
  expect(entered).toEqual(["second"]);
  leaveSecond();
  await third;
});

test("who gives up in line takes no place", async () => {
  const gate = new StartGate(1);
  const leave = await gate.enter(never);
  const controller = new AbortController();
  const waiting = gate.enter(controller.signal);
  controller.abort(new Error("stopped"));
  await expect(waiting).rejects.toThrow("stopped");
  leave();
  await gate.enter(never);
});
