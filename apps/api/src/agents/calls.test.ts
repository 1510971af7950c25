import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { asId } from "@squall/core/ids";
import { GrpcError, statusCode } from "@squall/grpc/handler";
import { HandlerTable } from "@squall/grpc/handler-table";
import { CallCancelSchema, type CallFrame, CallFrameSchema, CallHalfCloseSchema, CallOpenSchema } from "@squall/protocol/agent";
import { ModalClient, QueueLenRequestSchema, QueueLenResponseSchema } from "@squall/protocol/modal";
import { afterEach, expect, test } from "vitest";
import { ByteQueue } from "./byte-queue.ts";
import { serveCalls } from "./calls.ts";

const workerId = asId("worker", "wo-0000000000000000000000");
const containerId = "ta-0000000000000000000001";
const len = "/modal.client.ModalClient/QueueLen";
const faults: unknown[] = [];
const aborted: unknown[] = [];
afterEach(() => {
  faults.length = 0;
  aborted.length = 0;
});

const table = new HandlerTable().add(ModalClient, {
  queueLen: async (request, info) => {
    info.setTrailer("x-modal-warning", "careful");
    if (request.queueId === "bug") throw new Error("secret");
    if (request.queueId === "refuse") throw new GrpcError(statusCode.notFound, "no queue", { details: [{ typeName: "a.B", value: Uint8Array.of(1) }] });
    if (request.queueId === "wait") await new Promise((_, reject) => info.signal.addEventListener("abort", () => reject(aborted.push(info.signal.reason))));
    expect(info.peer).toEqual({ kind: "container", containerId, workerId, blobBaseUrl: "http://10.0.0.1:1" });
    return { len: request.queueId.length };
  },
});

/** One stream of a worker: what it sends and, as they come, the frames that it gets. */
function open(first: CallFrame["frame"] = { case: "session", value: "session-1" }) {
  const sent = new ByteQueue<CallFrame>(1 << 30);
  const stream = new AbortController();
  const sessionOf = (session: string) => (session === "session-1" ? { workerId } : undefined);
  const answers = serveCalls(sent, { signal: stream.signal }, { table, sessionOf, onFault: ({ error }) => faults.push(error) })[Symbol.asyncIterator]();
  const send = (callId: bigint, frame: CallFrame["frame"]) => sent.push(create(CallFrameSchema, { callId, frame }), 0);
  send(0n, first);
  const call = (callId: bigint, { path = len, queueId = "", timeoutMs = 0, id = containerId }) => {
    send(callId, { case: "open", value: create(CallOpenSchema, { containerId: id, path, blobBaseUrl: "http://10.0.0.1:1", timeoutMs }) });
    send(callId, { case: "message", value: toBinary(QueueLenRequestSchema, create(QueueLenRequestSchema, { queueId })) });
    send(callId, { case: "halfClose", value: create(CallHalfCloseSchema) });
  };
  const next = async () => (await answers.next()).value as CallFrame;
  return { sent, send, call, next, stream, answers };
}

test("a call's answer, trailers and end come back under its id", async () => {
  const { call, next } = open();
  call(7n, { queueId: "four" });
  const message = await next();
  expect([message.callId, message.frame.case === "message" && fromBinary(QueueLenResponseSchema, message.frame.value).len]).toEqual([7n, 4]);
  expect(await next()).toMatchObject({ callId: 7n, frame: { case: "end", value: { status: 0, trailers: { "x-modal-warning": "careful" } } } });
});

test("errors come back with their status and details; bugs with neither text nor cause", async () => {
  const { call, next } = open();
  call(1n, { queueId: "refuse" });
  const refused = await next();
  expect(refused).toMatchObject({ frame: { value: { status: statusCode.notFound, message: "no queue" } } });
  expect(refused.frame.case === "end" && refused.frame.value.details.length).toBeGreaterThan(0);
  call(2n, { queueId: "bug" });
  expect(await next()).toMatchObject({ callId: 2n, frame: { value: { status: statusCode.internal, message: "internal error" } } });
  expect(faults.map(String)).toEqual(["Error: secret"]);
  call(3n, { path: "/modal.client.ModalClient/Nothing" });
  expect(await next()).toMatchObject({ callId: 3n, frame: { value: { status: statusCode.unimplemented } } });
  call(4n, { id: "fu-0000000000000000000001" });
  expect(await next()).toMatchObject({ callId: 4n, frame: { value: { status: statusCode.invalidArgument } } });
});

test("calls on one stream do not wait for each other, and a cancelled one ends", async () => {
  const { call, next, send } = open();
  call(1n, { queueId: "wait" });
  call(2n, { queueId: "x" });
  expect((await next()).callId).toBe(2n);
  expect((await next()).callId).toBe(2n);
  send(1n, { case: "cancel", value: create(CallCancelSchema) });
  expect(await next()).toMatchObject({ callId: 1n, frame: { value: { status: statusCode.cancelled } } });
  expect(aborted.length).toBe(1);
});

test("a deadline ends a call", async () => {
  const { call, next } = open();
  call(1n, { queueId: "wait", timeoutMs: 30 });
  expect(await next()).toMatchObject({ callId: 1n, frame: { value: { status: statusCode.deadlineExceeded } } });
});

test("the end of the stream ends its calls", async () => {
  const { call, next, answers, sent } = open();
  call(1n, { queueId: "wait" });
  call(2n, { queueId: "x" });
  await next();
  await next();
  sent.end();
  expect((await answers.next()).done).toBe(true);
  await expect.poll(() => aborted.length).toBe(1);
});

test("a stream without an open session is refused", async () => {
  for (const first of [
    { case: "session", value: "other" },
    { case: "cancel", value: create(CallCancelSchema) },
  ] as CallFrame["frame"][]) {
    await expect(open(first).next()).rejects.toMatchObject({ code: statusCode.unauthenticated });
  }
});

test("a worker that breaks off while it is being answered ends the stream and nothing else", async () => {
  const broken = Promise.withResolvers<void>();
  async function* frames() {
    yield create(CallFrameSchema, { frame: { case: "session", value: "session-1" } });
    yield create(CallFrameSchema, { callId: 1n, frame: { case: "open", value: create(CallOpenSchema, { containerId, path: "/nothing" }) } });
    await broken.promise;
    throw new Error("the connection was reset");
  }
  const options = { table, sessionOf: () => ({ workerId }), onFault: ({ error }: { error: unknown }) => faults.push(error) };
  const answers = serveCalls(frames(), { signal: new AbortController().signal }, options)[Symbol.asyncIterator]();
  expect((await answers.next()).done).toBe(false);
  const unhandled: unknown[] = [];
  const note = (error: unknown) => unhandled.push(error);
  process.on("unhandledRejection", note);
  await answers.return?.();
  broken.resolve();
  await new Promise((resolve) => setImmediate(resolve)); // rejections are told at the end of a turn
  process.off("unhandledRejection", note);
  expect(unhandled).toEqual([]);
});
