/**
 * The control: the least that lets the published client run `app.py`. It answers at once from memory, keeps nothing, and runs the client's own
 * container program as plain processes. What a map takes against it is what the client and its runtime cost by themselves.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import type { Implementation } from "@squall/grpc/handler";
import { HandlerTable } from "@squall/grpc/handler-table";
import { GrpcServer } from "@squall/grpc/server";
import {
  ContainerArgumentsSchema,
  FunctionHandleMetadataSchema,
  type Function as FunctionMessage,
  FunctionSchema$,
  GenericResult_GenericStatus,
  ModalClient,
} from "@squall/protocol/modal";
import { ControlCalls } from "./control-calls.ts";

export interface Control {
  readonly url: string;
  readonly stop: () => Promise<void>;
}

type Handlers = Implementation<typeof ModalClient>;

const appId = "ap-control";
const functionId = "fu-control";
/** The container looks up everything that its function depends on in the app's layout. */
const layout = (definition: FunctionMessage) => ({
  functionIds: { [definition.functionName]: functionId },
  objects: [
    {
      objectId: functionId,
      handleMetadataOneof: { case: "functionHandleMetadata" as const, value: create(FunctionHandleMetadataSchema, metadata(definition)) },
    },
    ...definition.objectDependencies.map(({ objectId }) => ({ objectId })),
  ],
});
const metadata = (definition: FunctionMessage) => ({
  functionName: definition.functionName,
  functionType: definition.functionType,
  appId,
  definitionId: "de-control",
});

export async function startControl({ python, containers }: { readonly python: string; readonly containers: number }): Promise<Control> {
  const folder = await mkdtemp(join(tmpdir(), "bench-control-"));
  const calls = new ControlCalls();
  const processes: ChildProcess[] = [];
  const socketPath = join(folder, "s");
  const inside = await listen(containerHandlers(calls), { path: socketPath });
  const start = async (definition: FunctionMessage) => {
    const argumentsPath = join(folder, "arguments.bin");
    await writeFile(
      argumentsPath,
      toBinary(
        ContainerArgumentsSchema,
        create(ContainerArgumentsSchema, {
          taskId: "ta-control",
          functionId,
          appId,
          functionDef: definition,
          environmentName: "main",
          appLayout: layout(definition),
        }),
      ),
    );
    for (let n = 0; n < containers; n++) {
      const env = {
        PATH: process.env["PATH"],
        HOME: folder,
        PYTHONPATH: import.meta.dirname,
        MODAL_IS_REMOTE: "1",
        MODAL_SERVER_URL: `unix://${socketPath}`,
        MODAL_CONTAINER_ARGUMENTS_PATH: argumentsPath,
      };
      processes.push(spawn(python, ["-u", "-m", "modal._container_entrypoint"], { cwd: folder, env, stdio: ["ignore", "ignore", "inherit"] }));
    }
  };
  const outside = await listen(clientHandlers(calls, start), { host: "127.0.0.1", port: 0 });
  const address = outside.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const stop = async () => {
    const ended = processes.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null).map((child) => once(child, "exit"));
    for (const child of processes) child.kill("SIGKILL");
    await Promise.all(ended);
    inside.close();
    outside.close();
    await rm(folder, { recursive: true, force: true });
  };
  return { url: `http://127.0.0.1:${address.port}`, stop };
}

async function listen(handlers: Handlers, where: { path: string } | { host: string; port: number }): Promise<Server> {
  const table = new HandlerTable().add(ModalClient, handlers);
  const grpc = new GrpcServer({
    table,
    onFault: ({ error }) =>
      void process.stderr.write(`control: ${String(error)}
`),
  });
  const server = createServer((socket) => {
    socket.setNoDelay(true);
    grpc.accept(socket, "control");
  });
  server.listen(where);
  await once(server, "listening");
  return server;
}

function containerHandlers(calls: ControlCalls): Handlers {
  return {
    containerHello: async () => ({}),
    containerHeartbeat: async () => ({}),
    functionGetInputs: (_request, { signal }) => calls.next(signal),
    functionPutOutputs: async ({ outputs }) => {
      calls.finish(outputs);
      return {};
    },
    taskResult: async () => ({}),
  };
}

function clientHandlers(calls: ControlCalls, start: (definition: FunctionMessage) => Promise<void>): Handlers {
  let definition = create(FunctionSchema$);
  return {
    clientHello: async () => ({}),
    authTokenGet: async () => ({ token: `e30.${Buffer.from(JSON.stringify({ exp: 4_000_000_000 })).toString("base64url")}.e30` }),
    environmentGetOrCreate: async () => ({ environmentId: "en-control", metadata: { name: "main", settings: { imageBuilderVersion: "2025.06" } } }),
    appCreate: async () => ({ appId, appPageUrl: "http://control.invalid" }),
    appHeartbeat: async () => ({}),
    appPublish: async () => ({ url: "http://control.invalid" }),
    appClientDisconnect: async () => ({}),
    async *appGetLogs() {
      yield { entryId: "1-0", appDone: true };
    },
    mountBatchedCheckExistence: async () => ({ missingSha256HexHashes: [] }),
    mountGetOrCreate: async () => ({ mountId: "mo-control", handleMetadata: { contentChecksumSha256Hex: "00" } }),
    imageGetOrCreate: async () => ({
      imageId: "im-control",
      result: { status: GenericResult_GenericStatus.SUCCESS },
      metadata: { imageBuilderVersion: "2025.06", pythonVersionInfo: "3.11" },
    }),
    functionPrecreate: async ({ functionName, functionType }) => ({
      functionId,
      handleMetadata: { functionName, functionType, appId, definitionId: "de-control" },
    }),
    functionCreate: async (request) => {
      definition = request.function ?? definition;
      await start(definition);
      return { functionId, function: definition, handleMetadata: metadata(definition), functionData: { rankedFunctions: [{ rank: 0, function: definition }] } };
    },
    functionMap: async ({ pipelinedInputs }) => {
      const functionCallId = calls.open();
      return { functionCallId, pipelinedInputs: calls.put(functionCallId, pipelinedInputs), functionCallJwt: "e30.e30.e30", maxInputsOutstanding: 1000 };
    },
    functionPutInputs: async ({ functionCallId, inputs }) => ({ inputs: calls.put(functionCallId, inputs) }),
    functionGetOutputs: ({ functionCallId, lastEntryId, timeout }) => calls.outputs(functionCallId, lastEntryId, timeout * 1000),
  };
}
