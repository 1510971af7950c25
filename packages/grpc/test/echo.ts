/** A service of all four kinds for tests, described at run time: this package generates nothing. */
import net from "node:net";
import { create, createFileRegistry } from "@bufbuild/protobuf";
import type { GenService } from "@bufbuild/protobuf/codegenv2";
import { type BytesValueSchema, FileDescriptorProtoSchema, FileDescriptorSetSchema, file_google_protobuf_wrappers } from "@bufbuild/protobuf/wkt";
import type { Implementation } from "../src/handler.ts";
import { HandlerTable, type OnHandlerFault } from "../src/handler-table.ts";
import { GrpcServer } from "../src/server.ts";
import { sniff } from "../src/sniff.ts";

type Bytes = typeof BytesValueSchema;
type Method<Kind> = { methodKind: Kind; input: Bytes; output: Bytes };
type EchoService = GenService<{
  one: Method<"unary">;
  down: Method<"server_streaming">;
  up: Method<"client_streaming">;
  both: Method<"bidi_streaming">;
  missing: Method<"unary">;
}>;

const bytes = ".google.protobuf.BytesValue";
const file = create(FileDescriptorProtoSchema, {
  name: "echo.proto",
  package: "test",
  syntax: "proto3",
  dependency: ["google/protobuf/wrappers.proto"],
  service: [
    {
      name: "Echo",
      method: [
        { name: "One", inputType: bytes, outputType: bytes },
        { name: "Down", inputType: bytes, outputType: bytes, serverStreaming: true },
        { name: "Up", inputType: bytes, outputType: bytes, clientStreaming: true },
        { name: "Both", inputType: bytes, outputType: bytes, clientStreaming: true, serverStreaming: true },
        { name: "Missing", inputType: bytes, outputType: bytes },
      ],
    },
  ],
});
const files = create(FileDescriptorSetSchema, { file: [file_google_protobuf_wrappers.proto, file] });

export const Echo = asEcho(createFileRegistry(files).getService("test.Echo"));

export interface EchoServer {
  readonly url: string;
  readonly port: number;
  readonly server: GrpcServer;
  readonly faults: Parameters<OnHandlerFault>[0][];
  stop(): Promise<void>;
}

export async function startEcho(
  implementation: Implementation<typeof Echo>,
  options: { maxMessageBytes?: number; maxStreamsPerConnection?: number } = {},
): Promise<EchoServer> {
  const faults: EchoServer["faults"] = [];
  const server = new GrpcServer({ table: new HandlerTable().add(Echo, implementation), onFault: (fault) => faults.push(fault), ...options });
  const listener = net.createServer({ noDelay: true }, async (socket) => {
    if ((await sniff(socket, { withinMs: 5000 })) === "http2") server.accept(socket, { from: "test" });
  });
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const address = listener.address();
  const port = typeof address === "object" && address ? address.port : 0;
  const stop = async () => {
    listener.close();
    await server.close(0);
  };
  return { url: `http://127.0.0.1:${port}`, port, server, faults, stop };
}

// The descriptor above is what the type says.
function asEcho(service: unknown): EchoService {
  return service as EchoService;
}
