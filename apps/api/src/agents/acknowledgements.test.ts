import { expect, test } from "vitest";
import { Acknowledgements } from "./acknowledgements.ts";

function watched() {
  const told: bigint[] = [];
  const failures: unknown[] = [];
  return {
    told,
    failures,
    acknowledgements: new Acknowledgements(
      (sequence) => void told.push(sequence),
      (error) => void failures.push(error),
    ),
  };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

test("nothing is acknowledged before everything sent before it is stored", async () => {
  const { told, acknowledgements } = watched();
  const first = Promise.withResolvers<void>();
  acknowledgements.add(1n, first.promise);
  acknowledgements.add(2n, Promise.resolve());
  await settled();
  expect(told).toEqual([]);
  first.resolve();
  await settled();
  expect(told).toEqual([1n, 2n]);
});

test("after one that was not stored nothing is acknowledged, and the failure is told once", async () => {
  const { told, failures, acknowledgements } = watched();
  acknowledgements.add(1n, Promise.resolve());
  acknowledgements.add(2n, Promise.reject(new Error("the database is away")));
  acknowledgements.add(3n, Promise.resolve());
  await settled();
  expect(told).toEqual([1n]);
  expect(failures).toHaveLength(1);
});

test("a sender waits while too much is under way", async () => {
  const { acknowledgements } = watched();
  const gate = Promise.withResolvers<void>();
  acknowledgements.add(1n, gate.promise);
  let hasRoom = false;
  void acknowledgements.room(1).then(() => (hasRoom = true));
  await settled();
  expect(hasRoom).toBe(false);
  gate.resolve();
  await settled();
  expect(hasRoom).toBe(true);
});
