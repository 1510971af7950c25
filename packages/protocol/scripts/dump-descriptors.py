"""Writes the FileDescriptorSet of the installed Modal client to the path given: the serialised descriptors inside the wheel, imports first.

The compiler strips json_name from embedded descriptors; it is filled in again, or every generated comment would carry an empty one.
"""

import sys

from google.protobuf import descriptor_pb2
from modal_proto import api_pb2, task_command_router_pb2


def json_name(field_name: str) -> str:
    head, *rest = field_name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


def fill_json_names(message: descriptor_pb2.DescriptorProto) -> None:
    for field in message.field:
        if not field.json_name:
            field.json_name = json_name(field.name)
    for nested in message.nested_type:
        fill_json_names(nested)


def main(target: str) -> None:
    seen: set[str] = set()
    files = descriptor_pb2.FileDescriptorSet()

    def add(file) -> None:
        if file.name in seen:
            return
        seen.add(file.name)
        for dependency in file.dependencies:
            add(dependency)
        proto = descriptor_pb2.FileDescriptorProto()
        file.CopyToProto(proto)
        for message in proto.message_type:
            fill_json_names(message)
        files.file.append(proto)

    add(api_pb2.DESCRIPTOR)
    add(task_command_router_pb2.DESCRIPTOR)
    with open(target, "wb") as out:
        out.write(files.SerializeToString(deterministic=True))


main(sys.argv[1])
