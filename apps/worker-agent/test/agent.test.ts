import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { newId } from "@squall/core/ids";
import { seededRandom } from "@squall/core/random";
import { GrpcError, statusCode } from "@squall/grpc/handler";
import { AttemptSchema, ControlMessageSchema, DesiredContainerSchema, ExitReason, InputSchema, type Output, OutputOrigin } from "@squall/protocol/agent";
import {
  ContainerArgumentsSchema,
  DataChunkSchema,
  DataFormat,
  Function_DefinitionType,
  Function_FunctionType,
  FunctionInputSchema,
  type GenericResult,
  GenericResult_GenericStatus,
  GenericResultSchema,
} from "@squall/protocol/modal";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type AgentProcess, startAgent } from "./agent-process.ts";
import { SimulatedControlPlane } from "./simulated-control-plane.ts";

const workerToken = "wt-test";
const source = readFileSync(join(import.meta.dirname, "app_under_test.py"));
const sha256 = createHash("sha256").update(source).digest("hex");
const random = seededRandom(Date.now());
const id = (kind: "container" | "input") => newId(kind, { clock: { now: () => Date.now(), monotonic: () => performance.now() }, random });

let plane: SimulatedControlPlane;
let agent: AgentProcess;

beforeAll(async () => {
  plane = new SimulatedControlPlane(workerToken);
  plane.objects.set(`mount/ac-test/${sha256}`, source);
  await plane.listen();
  agent = await startAgent({ port: plane.port, workerToken, fakeGpus: "A100=2" });
  await plane
    .until(() => plane.hellos.length > 0, 30_000)
    .catch((error) => {
      throw new Error(`${error}\n${agent.log()}`);
    });
});

afterAll(async () => {
  const tookMs = await agent.stop();
  plane.close();
  expect(tookMs).toBeLessThan(8_000);
});

interface Wish {
  readonly functionName: string;
  readonly isGenerator?: boolean;
  readonly desired?: MessageInitShape<typeof DesiredContainerSchema>;
}

function start({ functionName, isGenerator = false, desired = {} }: Wish): string {
  const containerId = id("container");
  const functionId = "fu-test";
  const definition = {
    moduleName: "app_under_test",
    functionName,
    implementationName: functionName,
    definitionType: Function_DefinitionType.FILE,
    functionType: isGenerator ? Function_FunctionType.GENERATOR : Function_FunctionType.FUNCTION,
    supportedInputFormats: [DataFormat.CBOR],
    supportedOutputFormats: [DataFormat.CBOR, DataFormat.GENERATOR_DONE],
    maxConcurrentInputs: desired.maxConcurrentInputs ?? 1,
  };
  const containerArguments = create(ContainerArgumentsSchema, {
    taskId: containerId,
    functionId,
    appId: "ap-test",
    functionDef: definition,
    environmentName: "main",
    appLayout: {
      functionIds: { [functionName]: functionId },
      objects: [{ objectId: functionId, handleMetadataOneof: { case: "functionHandleMetadata", value: { functionName } } }],
    },
  });
  const container = create(DesiredContainerSchema, {
    containerId,
    generation: 1n,
    appId: "ap-test",
    functionId,
    workspaceId: "ac-test",
    environmentName: "main",
    functionName,
    arguments: toBinary(ContainerArgumentsSchema, containerArguments),
    imageKey: "base/python-3.11-bookworm",
    imageId: "im-test",
    clientVersion: "1.6.4",
    imageBuilderVersion: "2025.06",
    files: [{ path: "/root/app_under_test.py", sha256, mode: 0o644, sizeBytes: BigInt(source.length) }],
    environment: { MY_SECRET: "s3cret" },
    milliCpu: 125,
    memoryBytes: 512n << 20n,
    startupTimeoutMs: 60_000,
    stopGraceMs: 2_000,
    isGenerator,
    maxConcurrentInputs: 1,
    ...desired,
  });
  plane.send({
    case: "desired",
    value: { $typeName: "squall.agent.v1.DesiredState", cursor: BigInt(Date.now()), full: false, containers: [container], stops: [] },
  });
  return containerId;
}

const stop = (containerId: string, graceful: boolean) =>
  plane.send({
    case: "desired",
    value: {
      $typeName: "squall.agent.v1.DesiredState",
      cursor: BigInt(Date.now()),
      full: false,
      containers: [],
      stops: [{ $typeName: "squall.agent.v1.StopContainer", containerId, graceful, reason: "test" }],
    },
  });

/** CBOR of `[[argument], {}]`. */
function call(argument: number | string): Uint8Array {
  const text = typeof argument === "string" ? Buffer.from(argument) : undefined;
  const value = text
    ? [0x78, text.length, ...text]
    : Number.isInteger(argument)
      ? [0x19, Number(argument) >> 8, Number(argument) & 0xff]
      : [0xfb, ...float64(Number(argument))];
  return Uint8Array.from([0x82, 0x81, ...value, 0xa0]);
}

function float64(value: number): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleBE(value);
  return bytes;
}

function give(containerId: string, argument: number | string, retryCount = 0): string {
  const inputId = id("input");
  const input = toBinary(FunctionInputSchema, create(FunctionInputSchema, { dataFormat: DataFormat.CBOR, argsOneof: { case: "args", value: call(argument) } }));
  plane.give(containerId, [
    create(InputSchema, { attempt: { inputId, epoch: 1n, counter: 1n }, functionCallId: "fc-test", input, invocationType: 1, retryCount }),
  ]);
  return inputId;
}

const outputOf = (inputId: string, withinMs?: number): Promise<Output> =>
  plane.until(() => plane.outputs.find((output) => output.attempt?.inputId === inputId), withinMs);
const resultOf = (output: Output): GenericResult => fromBinary(GenericResultSchema, output.result);
const dataOf = (output: Output): Buffer => {
  const result = resultOf(output);
  if (result.dataOneof.case !== "data") throw new Error(`no data: ${result.exception}\n${result.traceback}`);
  return Buffer.from(result.dataOneof.value);
};
const ready = (containerId: string) => plane.until(() => plane.requests.findLast((request) => request.containerId === containerId && request.slots > 0));
const exitOf = (containerId: string) => plane.until(() => plane.lastReport(containerId)?.exit);

describe("agent", () => {
  test("introduces itself with what the machine has", () => {
    const [hello] = plane.hellos;
    expect(hello?.inventory?.gpus).toMatchObject([{ type: "A100", count: 2, fake: true }]);
    expect(hello?.inventory?.runtimes[0]).toMatch(/^crun/);
    expect(hello?.containers).toEqual([]);
  });

  test("runs a Python function from request to output, with its log and its usage, and ends it by kill switch", async () => {
    const containerId = start({ functionName: "square" });
    await ready(containerId);
    const output = await outputOf(give(containerId, 12));
    expect(dataOf(output)).toEqual(Buffer.from([0x18, 144]));
    expect(output.origin).toBe(OutputOrigin.CONTAINER);
    await ready(containerId);
    const next = await outputOf(give(containerId, 5));
    expect(dataOf(next)).toEqual(Buffer.from([0x18, 25]));
    stop(containerId, true);
    const exit = await exitOf(containerId);
    expect(exit).toMatchObject({ reason: ExitReason.STOPPED, code: 0 });
    await plane.until(() => plane.ended.has(containerId));
    expect(plane.log(containerId)).toContain("squaring 12\n");
    const last = await plane.until(() => plane.usage.find((segment) => segment.containerId === containerId && segment.final));
    expect(last.cpuNs).toBeGreaterThan(50_000_000n);
    const phases = plane.lastReport(containerId)?.phases.map((phase) => phase.name);
    expect(phases).toEqual(expect.arrayContaining(["image", "files", "network", "root", "gateway", "started", "hello", "ready", "exited"]));
  });

  test("every chunk of a generator is sent before its end", async () => {
    const containerId = start({ functionName: "count_to", isGenerator: true });
    await ready(containerId);
    const inputId = give(containerId, 5);
    const output = await outputOf(inputId);
    expect(output.dataFormat).toBe(DataFormat.GENERATOR_DONE);
    const chunks = plane.chunks.filter((each) => each.attempt?.inputId === inputId).flatMap((each) => each.chunks);
    expect(chunks.map((chunk) => fromBinary(DataChunkSchema, chunk)).map(({ index, dataOneof }) => [Number(index), dataOneof.value?.[0]])).toEqual([
      [1, 0],
      [2, 1],
      [3, 2],
      [4, 3],
      [5, 4],
    ]);
    stop(containerId, false);
    await exitOf(containerId);
  });

  test("a start writes no bytecode outside /root, and the walls of the container stand", async () => {
    const containerId = start({ functionName: "probe", desired: { gpuType: "A100", gpuCount: 1 } });
    await ready(containerId);
    const text = dataOf(await outputOf(give(containerId, 0))).toString();
    expect(text).toContain("s3cret");
    expect(text).toContain("A100 (fake)");
    const seen = JSON.parse(text.slice(text.indexOf("{")));
    expect(seen).toMatchObject({ cwd: "/root", secret: "s3cret", pyc: "", no_new_privs: "1", seccomp: "2", net: ["eth0", "lo"], gpu: "A100 (fake)" });
    expect(seen.uid_map[0]).toBe("0");
    expect(Number(seen.uid_map[1])).toBeGreaterThanOrEqual(65_536);
    expect(seen.uid_map[2]).toBe("65536");
    stop(containerId, false);
    await exitOf(containerId);
  });

  test("an input that takes too long times out, and its container ends", async () => {
    const containerId = start({ functionName: "sleep", desired: { inputTimeoutMs: 500n } });
    await ready(containerId);
    const output = await outputOf(give(containerId, 600));
    expect(output.origin).toBe(OutputOrigin.TIMEOUT);
    expect(resultOf(output)).toMatchObject({ status: GenericResult_GenericStatus.TIMEOUT, exception: "Input timed out after 0.5 s" });
    expect(await exitOf(containerId)).toMatchObject({ reason: ExitReason.INPUT_TIMEOUT });
  });

  test("running out of memory is named, with the limit", async () => {
    const containerId = start({ functionName: "eat", desired: { memoryBytes: 192n << 20n } });
    await ready(containerId);
    const inputId = give(containerId, 1000);
    expect(await exitOf(containerId)).toMatchObject({ reason: ExitReason.OUT_OF_MEMORY, message: "the container ran out of memory: its limit is 192 MiB" });
    expect(plane.lastReport(containerId)?.running.map((attempt) => attempt.inputId)).toEqual([inputId]);
  });

  test("a crash is reported with its code and the input that it held", async () => {
    const containerId = start({ functionName: "exit_with" });
    await ready(containerId);
    const inputId = give(containerId, 7);
    expect(await exitOf(containerId)).toMatchObject({ reason: ExitReason.EXITED, code: 7, message: "container exited with code 7" });
    expect(plane.lastReport(containerId)?.running.map((attempt) => attempt.inputId)).toEqual([inputId]);
  });

  test("a failing import is reported once with its traceback", async () => {
    const containerId = start({ functionName: "no_such_function" });
    const failure = await plane.until(() => plane.initFailures.find((each) => each.containerId === containerId));
    expect(fromBinary(GenericResultSchema, failure.result)).toMatchObject({
      status: GenericResult_GenericStatus.FAILURE,
      exception: expect.stringContaining("no_such_function"),
    });
    await exitOf(containerId);
    expect(plane.initFailures.filter((each) => each.containerId === containerId)).toHaveLength(1);
  });

  test("a start that cannot succeed says why", async () => {
    const unknown = start({ functionName: "square", desired: { imageKey: "base/python-9" } });
    expect(await exitOf(unknown)).toMatchObject({ reason: ExitReason.START_FAILED, message: expect.stringContaining("base/python-9") });
    const missing = start({ functionName: "square", desired: { files: [{ path: "/root/x.py", sha256: "0".repeat(64), sizeBytes: 1n, mode: 0o644 }] } });
    expect(await exitOf(missing)).toMatchObject({ reason: ExitReason.START_FAILED, message: expect.stringMatching(/^files: the api answered 404/) });
    const greedy = start({ functionName: "square", desired: { gpuType: "H100", gpuCount: 1 } });
    expect(await exitOf(greedy)).toMatchObject({ reason: ExitReason.START_FAILED, message: expect.stringContaining("1 × H100 wanted") });
  });

  test("a container that is not ready in time is ended", async () => {
    const containerId = start({ functionName: "square", desired: { startupTimeoutMs: 20 } });
    expect(await exitOf(containerId)).toMatchObject({ reason: ExitReason.STARTUP_TIMEOUT, message: "the container was not ready for inputs within 0.02 s" });
  });

  test("a running input is cancelled through the heartbeat, and the container answers it", async () => {
    const containerId = start({ functionName: "sleep", desired: { maxConcurrentInputs: 1 } });
    await ready(containerId);
    const inputId = give(containerId, 600);
    const attempt = create(AttemptSchema, { inputId, epoch: 1n, counter: 1n });
    plane.send(create(ControlMessageSchema, { message: { case: "cancel", value: { containerId, attempts: [attempt], terminateContainer: false } } }).message);
    expect(resultOf(await outputOf(inputId))).toMatchObject({ status: GenericResult_GenericStatus.TERMINATED });
    stop(containerId, false);
    await exitOf(containerId);
  });

  test("other RPCs reach the control plane with the container's identity and without credentials", async () => {
    plane.answer = (path) => ({ error: new GrpcError(statusCode.notFound, `nothing at ${path}`) });
    const containerId = start({ functionName: "lookup" });
    await ready(containerId);
    const text = dataOf(await outputOf(give(containerId, "other"))).toString();
    expect(text).toMatch(/NotFoundError: .*nothing at \/modal.client.ModalClient\/FunctionGet/);
    const open = plane.calls.flatMap(({ frame }) => (frame.case === "open" && frame.value.containerId === containerId ? frame.value : []))[0];
    expect(open?.blobBaseUrl).toMatch(/^http:\/\/\d+\.\d+\.\d+\.\d+:\d+$/);
    expect(Object.keys(open?.metadata ?? {}).filter((name) => /token|authorization/.test(name))).toEqual([]);
    stop(containerId, false);
    await exitOf(containerId);
  });

  test("blobs and names are served on the host's end of the network, the api is not", async () => {
    const containerId = start({ functionName: "fetch" });
    await ready(containerId);
    const open = plane.calls.flatMap(({ frame }) => (frame.case === "open" ? frame.value : []))[0];
    expect(dataOf(await outputOf(give(containerId, `${open?.blobBaseUrl}/blobs/x?s=1`))).toString()).toContain("blob /blobs/x?s=1");
    await ready(containerId);
    expect(resultOf(await outputOf(give(containerId, `${open?.blobBaseUrl}/internal/objects/x`))).exception).toContain("404");
    await ready(containerId);
    expect(resultOf(await outputOf(give(containerId, `http://127.0.0.1:${plane.port}/blobs/x`))).exception).toContain("refused");
    stop(containerId, false);
    await exitOf(containerId);
  });

  test("a lost link costs the container nothing: outputs and inputs go on over the next one", async () => {
    const containerId = start({ functionName: "square" });
    await ready(containerId);
    plane.stores = false;
    const first = give(containerId, 3);
    await outputOf(first);
    plane.outputs.length = 0;
    const hellos = plane.hellos.length;
    plane.cut();
    await plane.until(() => plane.hellos.length > hellos);
    const hello = plane.hellos.at(-1)?.containers.find((each) => each.containerId === containerId);
    expect(hello?.running.map((attempt) => attempt.inputId)).toEqual([first]);
    expect(dataOf(await outputOf(first))).toEqual(Buffer.from([9]));
    plane.stores = true;
    expect(dataOf(await outputOf(give(containerId, 4)))).toEqual(Buffer.from([16]));
    stop(containerId, false);
    await exitOf(containerId);
  });

  test("a killed agent comes back and finds its containers, with the inputs that they hold", async () => {
    const running = start({ functionName: "sleep" });
    const crashing = start({ functionName: "exit_with" });
    await Promise.all([ready(running), ready(crashing)]);
    const held = give(running, 1.5);
    await plane.until(() => plane.log(running).includes("sleeping"));
    const hellos = plane.hellos.length;
    const before = agent.pid();
    process.kill(before, "SIGKILL");
    await plane.until(() => plane.hellos.length > hellos);
    expect(agent.pid()).not.toBe(before);
    const reported = plane.hellos.at(-1)?.containers ?? [];
    expect(reported.find((each) => each.containerId === running)?.running.map((attempt) => attempt.inputId)).toEqual([held]);
    expect(reported.map((each) => each.containerId)).toEqual(expect.arrayContaining([running, crashing]));
    expect(resultOf(await outputOf(held)).status).toBe(GenericResult_GenericStatus.SUCCESS);
    await plane.until(() => plane.requests.findLast((request) => request.containerId === crashing && request.slots > 0));
    give(crashing, 3);
    expect(await exitOf(crashing)).toMatchObject({ reason: ExitReason.EXITED, code: 3 });
    stop(running, true);
    expect(await exitOf(running)).toMatchObject({ reason: ExitReason.STOPPED });
    expect(plane.log(running)).toBe("sleeping\n");
  });

  test("an ended container leaves nothing on the machine", async () => {
    const containerId = start({ functionName: "square" });
    await ready(containerId);
    expect(readdirSync(join(agent.home, "agent"))).toContain(containerId);
    stop(containerId, false);
    await exitOf(containerId);
    await plane.until(() => plane.ended.has(containerId));
    await vi.waitFor(() => {
      expect(readdirSync(join(agent.home, "agent")).filter((name) => name.startsWith("ta-"))).toEqual([]);
      expect(readdirSync(`/run/squall/${agent.instance}`).filter((name) => name.endsWith(".sock"))).toEqual([]);
    }, 5_000);
  });
});
