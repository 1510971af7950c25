import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { AgentLink } from "./agent.ts";
import { FunctionSchema$, ModalClient } from "./modal.ts";
import { TaskCommandRouter } from "./task-command-router.ts";

test("the contract is that of the pinned client", () => {
  expect([ModalClient.methods.length, TaskCommandRouter.methods.length]).toEqual([285, 23]); // modal 1.6.4
  expect(ModalClient.method.functionMap.name).toBe("FunctionMap");
});

test("fields that we do not know survive reading and writing", () => {
  const unknown = Uint8Array.of(0xfa, 0xff, 0x03, 0x02, 0x68, 0x69); // field 8191, "hi"
  const bytes = Buffer.concat([toBinary(FunctionSchema$, create(FunctionSchema$, { functionName: "f" })), unknown]);
  expect(Buffer.from(toBinary(FunctionSchema$, fromBinary(FunctionSchema$, bytes))).toString("hex")).toBe(bytes.toString("hex"));
});

test("agents have one link, and streams of their own for bulk", () => {
  expect(AgentLink.methods.map(({ name, methodKind }) => `${name} ${methodKind}`)).toEqual([
    "Link bidi_streaming",
    "Logs bidi_streaming",
    "Calls bidi_streaming",
  ]);
});
