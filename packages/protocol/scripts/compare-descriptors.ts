/** What changed between two sets of descriptors, as lines for a person who reviews a new client version. */
import type { DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet } from "@bufbuild/protobuf/wkt";
import { FieldDescriptorProto_Label, FieldDescriptorProto_Type } from "@bufbuild/protobuf/wkt";

/** Sorted lines: `+` came, `-` went, `~` is another now. Empty when nothing that travels on the wire differs. */
export function compareDescriptors(before: FileDescriptorSet, after: FileDescriptorSet): string[] {
  const [old, now] = [describe(before), describe(after)];
  const lines: string[] = [];
  for (const [name, shape] of now) {
    const was = old.get(name);
    if (was === undefined) lines.push(`+ ${name} ${shape}`);
    else if (was !== shape) lines.push(`~ ${name} ${was} -> ${shape}`);
  }
  for (const [name, shape] of old) if (!now.has(name)) lines.push(`- ${name} ${shape}`);
  return lines.sort((a, b) => a.slice(2).localeCompare(b.slice(2)) || a.localeCompare(b));
}

/** Every RPC, field and enum value by its full name, with what it looks like. */
function describe(set: FileDescriptorSet): Map<string, string> {
  const found = new Map<string, string>();
  for (const file of set.file) {
    for (const service of file.service) {
      for (const method of service.method) {
        const input = `${method.clientStreaming ? "stream " : ""}${local(method.inputType)}`;
        const output = `${method.serverStreaming ? "stream " : ""}${local(method.outputType)}`;
        found.set(`rpc ${service.name}.${method.name}`, `(${input}) returns (${output})`);
      }
    }
    for (const message of file.messageType) describeMessage(message, "", found);
    for (const one of file.enumType) describeEnum(one, "", found);
  }
  return found;
}

function describeMessage(message: DescriptorProto, scope: string, found: Map<string, string>): void {
  const name = scope + message.name;
  found.set(`message ${name}`, "");
  for (const field of message.field) found.set(`field ${name}.${field.name}`, `= ${field.number} ${typeOf(field)}`);
  for (const nested of message.nestedType) describeMessage(nested, `${name}.`, found);
  for (const one of message.enumType) describeEnum(one, `${name}.`, found);
}

function describeEnum(one: EnumDescriptorProto, scope: string, found: Map<string, string>): void {
  for (const value of one.value) found.set(`value ${scope}${one.name}.${value.name}`, `= ${value.number}`);
}

function typeOf(field: FieldDescriptorProto): string {
  const type = field.typeName === "" ? (FieldDescriptorProto_Type[field.type] ?? "unknown").toLowerCase() : local(field.typeName);
  return field.label === FieldDescriptorProto_Label.REPEATED ? `repeated ${type}` : type;
}

function local(typeName: string): string {
  return typeName.replace(/^\.[a-z_.]*\.(?=[A-Z])/, "");
}
