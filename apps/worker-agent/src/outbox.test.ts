import { create } from "@bufbuild/protobuf";
import { type AgentMessage, DataChunksSchema, InitFailureSchema, OutputSchema } from "@squall/protocol/agent";
import { describe, expect, test } from "vitest";
import { Outbox, type OutboxItem } from "./outbox.ts";

const output = (inputId: string, sizeBytes = 1): OutboxItem => ({
  kind: "output",
  containerId: "ta-1",
  output: create(OutputSchema, { containerId: "ta-1", attempt: { inputId, epoch: 1n, counter: 1n }, result: new Uint8Array(sizeBytes) }),
});
const chunks = (inputId: string): OutboxItem => ({
  kind: "dataChunks",
  containerId: "ta-1",
  chunks: create(DataChunksSchema, { containerId: "ta-1", attempt: { inputId }, chunks: [new Uint8Array(1)] }),
});

function sentOf(messages: AgentMessage[]): string[] {
  return messages.map(({ message }) => {
    if (message.case === "outputs") return `outputs@${message.value.sequence}:${message.value.outputs.map((each) => each.attempt?.inputId).join("+")}`;
    if (message.case === "dataChunks") return `chunks@${message.value.sequence}:${message.value.attempt?.inputId}`;
    if (message.case === "initFailure") return `init@${message.value.sequence}`;
    return String(message.case);
  });
}

describe("outbox", () => {
  test("chunks go before the output that follows them, and neighbouring outputs share a message", async () => {
    const box = new Outbox();
    const sent: AgentMessage[] = [];
    box.connect((message) => sent.push(message));
    await box.add(output("in-1"));
    await box.add(output("in-2"));
    await box.add(chunks("in-3"));
    await box.add(output("in-3"));
    box.flush();
    expect(sentOf(sent)).toEqual(["outputs@2:in-1+in-2", "chunks@3:in-3", "outputs@4:in-3"]);
  });

  test("a new session gets everything that was not acknowledged, numbered from 1", async () => {
    const box = new Outbox();
    box.connect(() => {});
    await box.add(output("in-1"));
    await box.add(chunks("in-2"));
    await box.add({ kind: "initFailure", containerId: "ta-1", failure: create(InitFailureSchema, {}) });
    box.flush();
    box.acknowledge(1n);
    box.disconnect();
    await box.add(output("in-4"));
    const sent: AgentMessage[] = [];
    box.connect((message) => sent.push(message));
    expect(sentOf(sent)).toEqual(["chunks@1:in-2", "init@2", "outputs@3:in-4"]);
    expect(box.unacknowledgedOutputs("ta-1").map((each) => each.attempt?.inputId)).toEqual(["in-4"]);
    box.acknowledge(3n);
    expect(box.holds("ta-1")).toBe(false);
  });

  test("an answer of the agent's own is kept at once, in a full box too", async () => {
    const box = new Outbox();
    await box.add(output("in-1", 33 << 20));
    box.addNow(output("in-2"));
    expect(box.unacknowledgedOutputs("ta-1").map((each) => each.attempt?.inputId)).toEqual(["in-1", "in-2"]);
  });

  test("chunks can be awaited until they are stored, over a lost session too", async () => {
    const box = new Outbox();
    box.connect(() => {});
    let isStored = false;
    await box.add(output("in-1"));
    const stored = box.addStored(chunks("in-2")).then(() => {
      isStored = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    box.acknowledge(1n);
    box.disconnect();
    box.connect(() => {});
    await new Promise((resolve) => setImmediate(resolve));
    expect(isStored).toBe(false);
    box.acknowledge(1n);
    await stored;
  });

  test("a container whose part is full waits until something of it is stored, others do not", async () => {
    const box = new Outbox();
    box.connect(() => {});
    await box.add(output("in-1", 33 << 20));
    let isAdded = false;
    const added = box.add(output("in-2")).then(() => {
      isAdded = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(isAdded).toBe(false);
    await box.add({ kind: "initFailure", containerId: "ta-2", failure: create(InitFailureSchema, {}) });
    box.acknowledge(1n);
    await added;
    expect(isAdded).toBe(true);
  });
});
