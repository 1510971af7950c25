import { describe, expect, test } from "vitest";
import { inMessages } from "./gateway.ts";

const input = (length: number) => ({ input: new Uint8Array(length) });
const sizes = (lengths: readonly number[]) => inMessages(lengths.map(input), 10).map((message) => message.map((each) => each.input.length));

describe("inputs on their way to a worker", () => {
  test("a batch larger than a message goes in several, in order and whole", () => {
    expect(sizes([4, 6, 1, 9, 10])).toEqual([[4, 6], [1, 9], [10]]);
    expect(sizes([11, 2, 20])).toEqual([[11], [2], [20]]);
    expect(sizes([])).toEqual([]);
  });
});
