import { create } from "@bufbuild/protobuf";
import { FunctionSchema$ } from "@squall/protocol/modal";
import { expect, test } from "vitest";
import { encodeFunction } from "./function.ts";

test("a definition that no worker could be sent is refused", () => {
  const definition = (lengthBytes: number) => create(FunctionSchema$, { functionSerialized: new Uint8Array(lengthBytes) });
  expect(encodeFunction(definition(16 << 20)).length).toBeGreaterThan(16 << 20);
  expect(() => encodeFunction(definition(20 << 20))).toThrow("it may have 20971520");
});
