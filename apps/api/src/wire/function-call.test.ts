import { create } from "@bufbuild/protobuf";
import { FunctionInputSchema, FunctionPutInputsItemSchema } from "@squall/protocol/modal";
import { expect, test } from "vitest";
import { inputToSubmit } from "./function-call.ts";

test("an input that no worker could be sent is refused before it is accepted", () => {
  const item = (lengthBytes: number) =>
    create(FunctionPutInputsItemSchema, { input: create(FunctionInputSchema, { argsOneof: { case: "args", value: new Uint8Array(lengthBytes) } }) });
  expect(inputToSubmit(item(2 << 20)).payload.length).toBeGreaterThan(2 << 20);
  expect(() => inputToSubmit(item(16 << 20))).toThrow("travel as a blob");
});
