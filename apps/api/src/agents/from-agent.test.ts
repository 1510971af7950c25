import { create } from "@bufbuild/protobuf";
import { OutputSchema } from "@squall/protocol/agent";
import { expect, test } from "vitest";
import { outputFrom } from "./from-agent.ts";

const attempt = { inputId: `in-${"1".repeat(22)}`, epoch: 1n, counter: 1n };
const containerId = `ta-${"1".repeat(22)}`;

test("numbers of a container that no column takes become nought", () => {
  const output = create(OutputSchema, { containerId, attempt, dataFormat: 0xffff_ffff, startedAtMs: 2n ** 63n - 1n, createdAtMs: -(2n ** 63n) });
  expect(outputFrom(output)).toMatchObject({ dataFormat: 0, startedAtMs: 0, createdAtMs: 0 });
});

test("numbers of an honest container stay as they are", () => {
  const output = create(OutputSchema, { containerId, attempt, dataFormat: 4, startedAtMs: 1_800_000_000_000n, createdAtMs: 1_800_000_000_001n });
  expect(outputFrom(output)).toMatchObject({ dataFormat: 4, startedAtMs: 1_800_000_000_000, createdAtMs: 1_800_000_000_001 });
});
