import { create } from "@bufbuild/protobuf";
import { GrpcError, statusCode } from "@squall/grpc/handler";
import { type CallFrame, CallFrameSchema } from "@squall/protocol/agent";
import { describe, expect, test } from "vitest";
import { CallRelay } from "./call-relay.ts";

async function* once(bytes: Uint8Array) {
  yield bytes;
}

function callOf(relay: CallRelay, signal: AbortSignal = new AbortController().signal) {
  const ended: string[] = [];
  const answers = relay.call(
    { containerId: "ta-1", path: "/s/M", metadata: {}, blobBaseUrl: "http://10.0.0.1:1", timeoutMs: 0, requests: once(new Uint8Array([1])), signal },
    { ended: (end) => ended.push(...Object.keys(end.trailers)) },
  );
  return { answers, ended };
}

const message = (callId: bigint, value: number) => create(CallFrameSchema, { callId, frame: { case: "message", value: new Uint8Array([value]) } });
const end = (callId: bigint, status = 0) =>
  create(CallFrameSchema, { callId, frame: { case: "end", value: { status, message: "because", trailers: { "x-t": "1" } } } });
const settled = () => new Promise((resolve) => setImmediate(resolve));

describe("call relay", () => {
  test("request and answers travel as frames of one call, trailers with them", async () => {
    const relay = new CallRelay();
    const sent: CallFrame[] = [];
    relay.connect((frame) => void sent.push(frame));
    const { answers, ended } = callOf(relay);
    const first = answers.next();
    await settled();
    expect(sent.map(({ callId, frame }) => `${callId} ${frame.case}`)).toEqual(["1 open", "1 message", "1 halfClose"]);
    relay.receive(message(1n, 7));
    relay.receive(message(1n, 8));
    relay.receive(end(1n));
    expect((await first).value).toEqual(new Uint8Array([7]));
    expect((await answers.next()).value).toEqual(new Uint8Array([8]));
    expect((await answers.next()).done).toBe(true);
    expect(ended).toEqual(["x-t"]);
  });

  test("a status becomes the container's status", async () => {
    const relay = new CallRelay();
    relay.connect(() => {});
    const { answers } = callOf(relay);
    const first = answers.next();
    await settled();
    relay.receive(end(1n, statusCode.notFound));
    await expect(first).rejects.toMatchObject({ code: statusCode.notFound, message: "because" });
  });

  test("a stream that breaks ends its calls as unavailable, at once", async () => {
    const relay = new CallRelay();
    relay.connect(() => {});
    const { answers } = callOf(relay);
    const first = answers.next();
    await settled();
    relay.disconnect();
    await expect(first).rejects.toBeInstanceOf(GrpcError);
    await expect(first).rejects.toMatchObject({ code: statusCode.unavailable });
  });

  test("a call that comes while the api is away waits for it", async () => {
    const relay = new CallRelay();
    const { answers } = callOf(relay);
    const first = answers.next();
    await settled();
    const sent: CallFrame[] = [];
    relay.connect((frame) => void sent.push(frame));
    await settled();
    relay.receive(message(1n, 9));
    expect((await first).value).toEqual(new Uint8Array([9]));
    expect(sent[0]?.frame.case).toBe("open");
  });

  test("a container that gives up cancels its call, and a late answer is dropped", async () => {
    const relay = new CallRelay();
    const sent: CallFrame[] = [];
    relay.connect((frame) => void sent.push(frame));
    const controller = new AbortController();
    const { answers } = callOf(relay, controller.signal);
    const first = answers.next();
    await settled();
    controller.abort();
    await expect(first).rejects.toMatchObject({ code: statusCode.cancelled });
    expect(sent.at(-1)?.frame.case).toBe("cancel");
    relay.receive(end(1n));
  });
});
