import { expect, test } from "vitest";
import { Cancellations } from "./cancellations.ts";

const never = new AbortController().signal;

test("a cancellation wakes the open heartbeat, and is repeated until the input has ended", async () => {
  const cancellations = new Cancellations();
  const beat = cancellations.next(60_000, never);
  cancellations.add(["in-1"]);
  expect(await beat).toEqual(["in-1"]);
  expect(await cancellations.next(60_000, never)).toEqual(["in-1"]);
  cancellations.ended("in-1");
  expect(await cancellations.next(1, never)).toEqual([]);
});

test("a second heartbeat ends the first, which the container has given up", async () => {
  const cancellations = new Cancellations();
  const first = cancellations.next(60_000, never);
  const second = cancellations.next(60_000, never);
  expect(await first).toEqual([]);
  cancellations.add(["in-1"]);
  expect(await second).toEqual(["in-1"]);
});
