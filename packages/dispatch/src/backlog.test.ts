import fc from "fast-check";
import { expect, test } from "vitest";
import { Backlog } from "./backlog.ts";

test("calls take turns, and within a call first in is first out", () => {
  const backlog = new Backlog<string, string>();
  for (let n = 0; n < 3; n++) backlog.add("map", `map ${n}`);
  backlog.add("other", "other 0");
  expect([backlog.take(), backlog.take(), backlog.take(), backlog.take(), backlog.take()]).toEqual(["map 0", "other 0", "map 1", "map 2", undefined]);
});

test("what waited before goes ahead of its call", () => {
  const backlog = new Backlog<string, string>();
  backlog.add("a", "first");
  backlog.add("a", "again", { front: true });
  expect([backlog.take(), backlog.take()]).toEqual(["again", "first"]);
});

test("nothing is lost, doubled or reordered, whatever is added, taken and removed", () => {
  const step = fc.oneof(
    fc.record({ type: fc.constant("add" as const), key: fc.integer({ min: 0, max: 3 }), front: fc.boolean() }),
    fc.record({ type: fc.constant("take" as const) }),
    fc.record({ type: fc.constant("takeAll" as const), key: fc.integer({ min: 0, max: 3 }) }),
    fc.record({ type: fc.constant("remove" as const), key: fc.integer({ min: 0, max: 3 }) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const backlog = new Backlog<number, string>();
      const model = new Map<number, string[]>();
      let count = 0;
      for (const each of steps) {
        if (each.type === "add") {
          const item = `${each.key} ${count++}`;
          const queue = model.get(each.key) ?? [];
          if (each.front) queue.unshift(item);
          else queue.push(item);
          model.set(each.key, queue);
          backlog.add(each.key, item, { front: each.front });
        } else if (each.type === "take") {
          const item = backlog.take();
          if (item === undefined) expect([...model.values()].flat()).toEqual([]);
          else expect(model.get(Number(item[0]))?.shift()).toBe(item);
        } else if (each.type === "takeAll") {
          expect(backlog.takeAll(each.key)).toEqual(model.get(each.key) ?? []);
          model.delete(each.key);
        } else {
          const removed = new Set(model.get(each.key)?.splice(0, 1));
          backlog.remove(each.key, removed);
        }
        expect(backlog.size).toBe([...model.values()].flat().length);
      }
    }),
  );
});
