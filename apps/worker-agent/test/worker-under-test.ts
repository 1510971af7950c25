/** A real agent and its simulated control plane, with the few verbs that tests speak of containers in. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { newId } from "@squall/core/ids";
import { seededRandom } from "@squall/core/random";
import { ControlMessageSchema, DesiredContainerSchema, type Exit, InputSchema, type Output } from "@squall/protocol/agent";
import {
  ContainerArgumentsSchema,
  DataFormat,
  Function_DefinitionType,
  Function_FunctionType,
  FunctionInputSchema,
  type GenericResult,
  GenericResultSchema,
} from "@squall/protocol/modal";
import { type AgentProcess, startAgent } from "./agent-process.ts";
import { SimulatedControlPlane } from "./simulated-control-plane.ts";

const workerToken = "wt-test";
const source = readFileSync(join(import.meta.dirname, "app_under_test.py"));
const sha256 = createHash("sha256").update(source).digest("hex");
const random = seededRandom(Date.now());
const id = (kind: "container" | "input") => newId(kind, { clock: { now: () => Date.now(), monotonic: () => performance.now() }, random });

export interface Wish {
  /** A function of `app_under_test.py`. */
  readonly functionName: string;
  readonly isGenerator?: boolean;
  readonly desired?: MessageInitShape<typeof DesiredContainerSchema>;
}

export async function startWorker({ fakeGpus = "", token = workerToken }: { fakeGpus?: string; token?: string } = {}): Promise<WorkerUnderTest> {
  const plane = new SimulatedControlPlane(workerToken);
  plane.objects.set(`mount/ac-test/${sha256}`, source);
  await plane.listen();
  const agent = await startAgent({ port: plane.port, workerToken: token, fakeGpus });
  await plane
    .until(() => plane.hellos.length > 0, 30_000)
    .catch((error) => {
      throw new Error(`${error}\n${agent.log()}`);
    });
  return new WorkerUnderTest(plane, agent);
}

export class WorkerUnderTest {
  readonly plane: SimulatedControlPlane;
  readonly agent: AgentProcess;

  constructor(plane: SimulatedControlPlane, agent: AgentProcess) {
    this.plane = plane;
    this.agent = agent;
  }

  /** Wants a container; returns its id at once. */
  start(wish: Wish): string {
    const container = desiredContainer(wish);
    this.#desire({ containers: [container] });
    return container.containerId;
  }

  stop(containerId: string, { graceful }: { graceful: boolean }): void {
    this.#desire({ stops: [{ containerId, graceful, reason: "test" }] });
  }

  /** Sends an input with one argument; returns its id. */
  give(containerId: string, argument: number | string): string {
    const inputId = id("input");
    const input = toBinary(
      FunctionInputSchema,
      create(FunctionInputSchema, { dataFormat: DataFormat.CBOR, argsOneof: { case: "args", value: call(argument) } }),
    );
    this.plane.give(containerId, [create(InputSchema, { attempt: { inputId, epoch: 1n, counter: 1n }, functionCallId: "fc-test", input, invocationType: 1 })]);
    return inputId;
  }

  output(inputId: string): Promise<Output> {
    return this.plane.until(() => this.plane.outputs.find((output) => output.attempt?.inputId === inputId));
  }

  /** The container asked for inputs at least once. */
  async ready(containerId: string): Promise<void> {
    await this.plane.until(() => this.plane.requests.some((request) => request.containerId === containerId && request.slots > 0));
  }

  exit(containerId: string): Promise<Exit> {
    return this.plane.until(() => this.plane.lastReport(containerId)?.exit);
  }

  /** Ends the container at once and waits for it. */
  async end(containerId: string): Promise<void> {
    this.stop(containerId, { graceful: false });
    await this.exit(containerId);
  }

  /** Ends the agent; resolves with the milliseconds that it took. */
  async close(): Promise<number> {
    const tookMs = await this.agent.stop();
    this.plane.close();
    return tookMs;
  }

  /** Wants no container at all. */
  wantNothing(): void {
    this.#desire({ full: true });
  }

  #desire(change: {
    full?: boolean;
    containers?: MessageInitShape<typeof DesiredContainerSchema>[];
    stops?: { containerId: string; graceful: boolean; reason: string }[];
  }): void {
    const { message } = create(ControlMessageSchema, { message: { case: "desired", value: { cursor: BigInt(Date.now()), full: false, ...change } } });
    this.plane.send(message);
  }
}

export function resultOf(output: Output): GenericResult {
  return fromBinary(GenericResultSchema, output.result);
}

/** The returned value in CBOR; throws with the remote traceback when there is none. */
export function dataOf(output: Output): Buffer {
  const result = resultOf(output);
  if (result.dataOneof.case !== "data") throw new Error(`no data: ${result.exception}\n${result.traceback}`);
  return Buffer.from(result.dataOneof.value);
}

function desiredContainer({ functionName, isGenerator = false, desired = {} }: Wish) {
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
  return create(DesiredContainerSchema, {
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
}

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
