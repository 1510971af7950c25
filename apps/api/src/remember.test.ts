import { TestClock } from "@squall/testkit/test-clock";
import { expect, test } from "vitest";
import { remember } from "./remember.ts";

function counted(answer: (id: string) => Promise<string | undefined>, maxEntries = 10) {
  const clock = new TestClock();
  const looks: string[] = [];
  const look = async (id: string, secret: string) => {
    looks.push(`${id}/${secret}`);
    return answer(id);
  };
  return { clock, looks, ask: remember(look, { keptMs: 5_000, maxEntries, clock }) };
}

test("an answer is looked up once, until its time is over, and for its own secret only", async () => {
  const { ask, looks, clock } = counted(async (id) => `caller ${id}`);
  expect([await ask("a", "s"), await ask("a", "s")]).toEqual(["caller a", "caller a"]);
  await ask("a", "other");
  expect(looks).toEqual(["a/s", "a/other"]);
  clock.advance(5_000);
  await ask("a", "s");
  expect(looks.length).toBe(3);
});

test("nothing found and a failure are looked up again", async () => {
  const { ask, looks } = counted(async (id) => {
    if (id === "broken") throw new Error("no database");
    return undefined;
  });
  expect(await ask("none", "s")).toBeUndefined();
  expect(await ask("none", "s")).toBeUndefined();
  await expect(ask("broken", "s")).rejects.toThrow();
  await expect(ask("broken", "s")).rejects.toThrow();
  expect(looks.length).toBe(4);
});

test("no more than its bound is kept", async () => {
  const { ask, looks } = counted(async (id) => id, 2);
  for (const id of ["a", "b", "c", "a", "c"]) await ask(id, "s");
  expect(looks.map((each) => each[0])).toEqual(["a", "b", "c", "a"]);
});
