/**
 * A worker without containers: it speaks the agent protocol, says it has absurd memory (so that only the benchmark's function comes to it), and
 * answers every input at once. What is measured is then the control plane: doors, journal, dispatch and the link.
 */
import { create, toBinary } from "@bufbuild/protobuf";
import { Channel, type DuplexCall } from "@squall/grpc/client";
import {
  AgentLink,
  type AgentMessageSchema,
  ContainerState,
  type ControlMessage,
  type ControlMessageSchema,
  ExitReason,
  OutputOrigin,
} from "@squall/protocol/agent";
import { DataFormat, GenericResult_GenericStatus, GenericResultSchema } from "@squall/protocol/modal";

export const absurdMemoryMb = 4_000_000; // 4 TB: no machine that runs this benchmark has it
const slots = 64;

export interface SimulatedWorker {
  readonly close: () => void;
}

export async function startSimulatedWorker({ url, workerToken }: { readonly url: string; readonly workerToken: string }): Promise<SimulatedWorker> {
  const channel = new Channel({ url });
  await channel.connected;
  const link = channel.duplex(AgentLink.method.link);
  const worker = new Worker(link);
  await link.send({
    message: {
      case: "hello",
      value: {
        workerToken,
        workerName: `bench-${process.pid}`,
        agentVersion: "bench",
        bootId: `${process.pid}`,
        inventory: { milliCpu: 64_000, memoryBytes: BigInt(absurdMemoryMb) * 2n * 1024n * 1024n, runtimes: ["none"], kernel: "none", diskBytes: 2n ** 40n },
      },
    },
  });
  worker.serve().catch(() => undefined); // ends with the link, which `close` ends
  return { close: () => channel.destroy() };
}

type Link = DuplexCall<typeof AgentMessageSchema, typeof ControlMessageSchema>;

class Worker {
  readonly #link: Link;
  readonly #result = toBinary(
    GenericResultSchema,
    create(GenericResultSchema, { status: GenericResult_GenericStatus.SUCCESS, dataOneof: { case: "data", value: new Uint8Array([0xf6]) } }), // CBOR null
  );
  #sequence = 0n;
  #requestId = 0n;
  #heartbeat: NodeJS.Timeout | undefined;

  constructor(link: Link) {
    this.#link = link;
  }

  async serve(): Promise<void> {
    try {
      for await (const message of this.#link.responses) await this.#on(message);
    } finally {
      clearInterval(this.#heartbeat);
    }
  }

  async #on({ message }: ControlMessage): Promise<void> {
    if (message.case === "welcome") this.#beat(message.value.heartbeatIntervalMs || 5_000);
    if (message.case === "desired") {
      for (const { containerId, generation } of message.value.containers) await this.#ready(containerId, generation);
      for (const { containerId } of message.value.stops) {
        const exit = { reason: ExitReason.STOPPED, exitedAtMs: BigInt(Date.now()) };
        await this.#link.send({ message: { case: "container", value: { containerId, state: ContainerState.EXITED, exit } } });
      }
    }
    if (message.case === "inputs") {
      const { containerId, inputs } = message.value;
      const now = BigInt(Date.now());
      const outputs = inputs.flatMap(({ attempt }) =>
        attempt
          ? [{ containerId, attempt, result: this.#result, dataFormat: DataFormat.CBOR, startedAtMs: now, createdAtMs: now, origin: OutputOrigin.CONTAINER }]
          : [],
      );
      this.#sequence += 1n;
      this.#link.send({ message: { case: "outputs", value: { sequence: this.#sequence, outputs } } }).catch(() => undefined);
      await this.#ask(containerId);
    }
  }

  #beat(everyMs: number): void {
    let sequence = 0n;
    this.#heartbeat = setInterval(() => {
      sequence += 1n;
      this.#link.send({ message: { case: "heartbeat", value: { sentAtMs: BigInt(Date.now()), sequence } } }).catch(() => undefined);
    }, everyMs);
  }

  async #ready(containerId: string, generation: bigint): Promise<void> {
    for (const state of [ContainerState.PREPARING, ContainerState.STARTING, ContainerState.READY]) {
      await this.#link.send({ message: { case: "container", value: { containerId, generation, state, startedAtMs: BigInt(Date.now()) } } });
    }
    await this.#ask(containerId);
  }

  async #ask(containerId: string): Promise<void> {
    this.#requestId += 1n;
    await this.#link.send({ message: { case: "inputRequest", value: { containerId, slots, requestId: this.#requestId } } });
  }
}
