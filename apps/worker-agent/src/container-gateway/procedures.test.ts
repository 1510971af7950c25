import { create, toBinary } from "@bufbuild/protobuf";
import type { CallInfo } from "@squall/grpc/handler";
import { AttemptSchema, OutputSchema } from "@squall/protocol/agent";
import { FunctionPutOutputsItemSchema, FunctionPutOutputsRequestSchema } from "@squall/protocol/modal";
import { describe, expect, test } from "vitest";
import type { OutboxItem } from "../outbox.ts";
import { InputBroker } from "./input-broker.ts";
import { type GatewayContainer, localProcedures } from "./procedures.ts";

const info: CallInfo = {
  path: "/modal.client.ModalClient/FunctionPutOutputs",
  headers: {},
  peer: "ta-1",
  signal: new AbortController().signal,
  timeoutMs: () => undefined,
  setTrailer: () => {},
  setHeader: () => {},
};

async function putOutput(output: { inputStartedAt?: number; outputCreatedAt?: number; dataFormat?: number }): Promise<OutboxItem[]> {
  const sent: OutboxItem[] = [];
  const held = { attempt: create(AttemptSchema, { inputId: "in-1" }), inputId: "in-1", functionCallId: "fc-1", retryCount: 0, deliveredAtMs: 1 };
  const container: GatewayContainer = {
    containerId: "ta-1",
    maxConcurrentInputs: 1,
    broker: new InputBroker({ request: () => {}, monotonicMs: () => 0, delivered: () => {} }, [held]),
    send: async (item) => void sent.push(item),
    saidHello: () => {},
    askedForInputs: () => {},
    nextCancellation: async () => [],
    answered: () => {},
    stopAsked: () => {},
    claimInitFailure: () => true,
  };
  const item = Object.assign(create(FunctionPutOutputsItemSchema, { inputId: "in-1", retryCount: 0, result: {} }), output);
  const request = create(FunctionPutOutputsRequestSchema, { outputs: [item] });
  await localProcedures(() => container).functionPutOutputs(request, info);
  return sent;
}

describe("what a container says of its outputs", () => {
  test("times that fit no message are bent, so that the batch with the outputs of others can be sent", async () => {
    for (const seconds of [1e300, -1e300, Number.POSITIVE_INFINITY, Number.NaN, 9.3e15, -(2 ** 63) / 1000]) {
      const [item] = await putOutput({ inputStartedAt: seconds, outputCreatedAt: seconds });
      if (item?.kind !== "output") throw new Error("no output was sent");
      expect(() => toBinary(OutputSchema, item.output)).not.toThrow();
      expect(Number.isSafeInteger(Number(item.output.startedAtMs))).toBe(true);
    }
    const [item] = await putOutput({ inputStartedAt: 1.5, outputCreatedAt: 2 });
    expect(item).toMatchObject({ output: { startedAtMs: 1500n, createdAtMs: 2000n } });
  });

  test("a data format that cannot be stored is refused", async () => {
    await expect(putOutput({ dataFormat: 40_000 })).rejects.toThrow("no data format 40000");
  });
});
