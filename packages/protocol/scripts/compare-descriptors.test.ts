import { create } from "@bufbuild/protobuf";
import { FieldDescriptorProto_Type, type FileDescriptorSet, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { compareDescriptors } from "./compare-descriptors.ts";

const set = ({ number = 1, serverStreaming = false, extra = false } = {}): FileDescriptorSet =>
  create(FileDescriptorSetSchema, {
    file: [
      {
        messageType: [
          {
            name: "Ask",
            field: [
              { name: "id", number, type: FieldDescriptorProto_Type.STRING },
              ...(extra ? [{ name: "why", number: 9, type: FieldDescriptorProto_Type.MESSAGE, typeName: ".a.b.Reason" }] : []),
            ],
          },
        ],
        enumType: [{ name: "Kind", value: [{ name: "A", number: 0 }, ...(extra ? [{ name: "B", number: 1 }] : [])] }],
        service: [{ name: "S", method: [{ name: "Do", inputType: ".a.b.Ask", outputType: ".a.b.Ask", serverStreaming }] }],
      },
    ],
  });

test("equal clients have no differences", () => {
  expect(compareDescriptors(set(), set())).toEqual([]);
});

test("what came and what went is named", () => {
  const lines = ["field Ask.why = 9 Reason", "value Kind.B = 1"];
  expect(compareDescriptors(set(), set({ extra: true }))).toEqual(lines.map((line) => `+ ${line}`));
  expect(compareDescriptors(set({ extra: true }), set())).toEqual(lines.map((line) => `- ${line}`));
});

test("a field of another number and an RPC of another kind are changes", () => {
  expect(compareDescriptors(set(), set({ number: 2, serverStreaming: true }))).toEqual([
    "~ field Ask.id = 1 string -> = 2 string",
    "~ rpc S.Do (Ask) returns (Ask) -> (Ask) returns (stream Ask)",
  ]);
});
