import { readdirSync } from "node:fs";
import { join } from "node:path";
import { create, fromBinary } from "@bufbuild/protobuf";
import { GrpcError, statusCode } from "@squall/grpc/handler";
import { AttemptSchema, ControlMessageSchema, ExitReason, OutputOrigin } from "@squall/protocol/agent";
import { DataChunkSchema, DataFormat, GenericResult_GenericStatus, GenericResultSchema } from "@squall/protocol/modal";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { dataOf, resultOf, startWorker, type WorkerUnderTest } from "./worker-under-test.ts";

let worker: WorkerUnderTest;

beforeAll(async () => {
  worker = await startWorker({ fakeGpus: "A100=2" });
});

afterAll(async () => {
  await worker.close();
});

describe("agent", () => {
  test("introduces itself with what the machine has", () => {
    const [hello] = worker.plane.hellos;
    expect(hello?.inventory?.gpus).toMatchObject([{ type: "A100", count: 2, fake: true }]);
    expect(hello?.inventory?.runtimes[0]).toMatch(/^crun/);
    expect(hello?.containers).toEqual([]);
  });

  test("runs a Python function from request to output, with its log and its usage, and ends it by kill switch", async () => {
    const containerId = worker.start({ functionName: "square" });
    await worker.ready(containerId);
    const output = await worker.output(worker.give(containerId, 12));
    expect(dataOf(output)).toEqual(Buffer.from([0x18, 144]));
    expect(output.origin).toBe(OutputOrigin.CONTAINER);
    await worker.ready(containerId);
    const next = await worker.output(worker.give(containerId, 5));
    expect(dataOf(next)).toEqual(Buffer.from([0x18, 25]));
    worker.stop(containerId, { graceful: true });
    const exit = await worker.exit(containerId);
    expect(exit).toMatchObject({ reason: ExitReason.STOPPED, code: 0 });
    await worker.plane.until(() => worker.plane.ended.has(containerId));
    expect(worker.plane.log(containerId)).toContain("squaring 12\n");
    const last = await worker.plane.until(() => worker.plane.usage.find((segment) => segment.containerId === containerId && segment.final));
    expect(last.cpuNs).toBeGreaterThan(50_000_000n);
    const phases = worker.plane.lastReport(containerId)?.phases.map((phase) => phase.name);
    expect(phases).toEqual(expect.arrayContaining(["image", "files", "network", "root", "gateway", "started", "hello", "ready", "exited"]));
  });

  test("every chunk of a generator is sent before its end", async () => {
    const containerId = worker.start({ functionName: "count_to", isGenerator: true });
    await worker.ready(containerId);
    const inputId = worker.give(containerId, 5);
    const output = await worker.output(inputId);
    expect(output.dataFormat).toBe(DataFormat.GENERATOR_DONE);
    const chunks = worker.plane.chunks.filter((each) => each.attempt?.inputId === inputId).flatMap((each) => each.chunks);
    expect(chunks.map((chunk) => fromBinary(DataChunkSchema, chunk)).map(({ index, dataOneof }) => [Number(index), dataOneof.value?.[0]])).toEqual([
      [1, 0],
      [2, 1],
      [3, 2],
      [4, 3],
      [5, 4],
    ]);
    await worker.end(containerId);
  });

  test("a start writes no bytecode outside /root, and the walls of the container stand", async () => {
    const containerId = worker.start({ functionName: "probe", desired: { gpuType: "A100", gpuCount: 1 } });
    await worker.ready(containerId);
    const text = dataOf(await worker.output(worker.give(containerId, 0))).toString();
    expect(text).toContain("s3cret");
    expect(text).toContain("A100 (fake)");
    const seen = JSON.parse(text.slice(text.indexOf("{")));
    expect(seen).toMatchObject({ cwd: "/root", secret: "s3cret", pyc: "", no_new_privs: "1", seccomp: "2", net: ["eth0", "lo"], gpu: "A100 (fake)" });
    expect(seen.uid_map[0]).toBe("0");
    expect(Number(seen.uid_map[1])).toBeGreaterThanOrEqual(65_536);
    expect(seen.uid_map[2]).toBe("65536");
    await worker.end(containerId);
  });

  test("an input that takes too long times out, and its container ends", async () => {
    const containerId = worker.start({ functionName: "sleep", desired: { inputTimeoutMs: 500n } });
    await worker.ready(containerId);
    const output = await worker.output(worker.give(containerId, 600));
    expect(output.origin).toBe(OutputOrigin.TIMEOUT);
    expect(resultOf(output)).toMatchObject({ status: GenericResult_GenericStatus.TIMEOUT, exception: "Input timed out after 0.5 s" });
    expect(await worker.exit(containerId)).toMatchObject({ reason: ExitReason.INPUT_TIMEOUT });
  });

  test("running out of memory is named, with the limit", async () => {
    const containerId = worker.start({ functionName: "eat", desired: { memoryBytes: 192n << 20n } });
    await worker.ready(containerId);
    const inputId = worker.give(containerId, 1000);
    expect(await worker.exit(containerId)).toMatchObject({
      reason: ExitReason.OUT_OF_MEMORY,
      message: "the container ran out of memory: its limit is 192 MiB",
    });
    expect(worker.plane.lastReport(containerId)?.running.map((attempt) => attempt.inputId)).toEqual([inputId]);
  });

  test("a crash is reported with its code and the input that it held", async () => {
    const containerId = worker.start({ functionName: "exit_with" });
    await worker.ready(containerId);
    const inputId = worker.give(containerId, 7);
    expect(await worker.exit(containerId)).toMatchObject({ reason: ExitReason.EXITED, code: 7, message: "container exited with code 7" });
    expect(worker.plane.lastReport(containerId)?.running.map((attempt) => attempt.inputId)).toEqual([inputId]);
  });

  test("a failing import is reported once with its traceback", async () => {
    const containerId = worker.start({ functionName: "no_such_function" });
    const failure = await worker.plane.until(() => worker.plane.initFailures.find((each) => each.containerId === containerId));
    expect(fromBinary(GenericResultSchema, failure.result)).toMatchObject({
      status: GenericResult_GenericStatus.FAILURE,
      exception: expect.stringContaining("no_such_function"),
    });
    await worker.exit(containerId);
    expect(worker.plane.initFailures.filter((each) => each.containerId === containerId)).toHaveLength(1);
  });

  test("a start that cannot succeed says why", async () => {
    const unknown = worker.start({ functionName: "square", desired: { imageKey: "base/python-9" } });
    expect(await worker.exit(unknown)).toMatchObject({ reason: ExitReason.START_FAILED, message: expect.stringContaining("base/python-9") });
    const missing = worker.start({ functionName: "square", desired: { files: [{ path: "/root/x.py", sha256: "0".repeat(64), sizeBytes: 1n, mode: 0o644 }] } });
    expect(await worker.exit(missing)).toMatchObject({ reason: ExitReason.START_FAILED, message: expect.stringMatching(/^files: the api answered 404/) });
    const greedy = worker.start({ functionName: "square", desired: { gpuType: "H100", gpuCount: 1 } });
    expect(await worker.exit(greedy)).toMatchObject({ reason: ExitReason.START_FAILED, message: expect.stringContaining("1 × H100 wanted") });
  });

  test("a container that is not ready in time is ended", async () => {
    const containerId = worker.start({ functionName: "square", desired: { startupTimeoutMs: 20 } });
    expect(await worker.exit(containerId)).toMatchObject({
      reason: ExitReason.STARTUP_TIMEOUT,
      message: "the container was not ready for inputs within 0.02 s",
    });
  });

  test("a running input is cancelled through the heartbeat, and the container answers it", async () => {
    const containerId = worker.start({ functionName: "sleep", desired: { maxConcurrentInputs: 1 } });
    await worker.ready(containerId);
    const inputId = worker.give(containerId, 600);
    await worker.plane.until(() => worker.plane.log(containerId).includes("sleeping")); // the client overlooks a cancellation of what it has not begun
    const attempt = create(AttemptSchema, { inputId, epoch: 1n, counter: 1n });
    worker.plane.send(
      create(ControlMessageSchema, { message: { case: "cancel", value: { containerId, attempts: [attempt], terminateContainer: false } } }).message,
    );
    expect(resultOf(await worker.output(inputId))).toMatchObject({ status: GenericResult_GenericStatus.TERMINATED, exception: "The input was cancelled" });
    await worker.end(containerId);
  });

  test("other RPCs reach the control plane with the container's identity and without credentials", async () => {
    worker.plane.answer = (path) => ({ error: new GrpcError(statusCode.notFound, `nothing at ${path}`) });
    const containerId = worker.start({ functionName: "lookup" });
    await worker.ready(containerId);
    const text = dataOf(await worker.output(worker.give(containerId, "other"))).toString();
    expect(text).toMatch(/NotFoundError: .*nothing at \/modal.client.ModalClient\/FunctionGet/);
    const open = worker.plane.calls.flatMap(({ frame }) => (frame.case === "open" && frame.value.containerId === containerId ? frame.value : []))[0];
    expect(open?.blobBaseUrl).toMatch(/^http:\/\/\d+\.\d+\.\d+\.\d+:\d+$/);
    expect(Object.keys(open?.metadata ?? {}).filter((name) => /token|authorization/.test(name))).toEqual([]);
    await worker.end(containerId);
  });

  test("blobs and names are served on the host's end of the network, the api is not", async () => {
    const containerId = worker.start({ functionName: "fetch" });
    await worker.ready(containerId);
    const open = worker.plane.calls.flatMap(({ frame }) => (frame.case === "open" ? frame.value : []))[0];
    expect(dataOf(await worker.output(worker.give(containerId, `${open?.blobBaseUrl}/blobs/x?s=1`))).toString()).toContain("blob /blobs/x?s=1");
    await worker.ready(containerId);
    expect(resultOf(await worker.output(worker.give(containerId, `${open?.blobBaseUrl}/internal/objects/x`))).exception).toContain("404");
    await worker.ready(containerId);
    expect(resultOf(await worker.output(worker.give(containerId, `http://127.0.0.1:${worker.plane.port}/blobs/x`))).exception).toContain("refused");
    await worker.end(containerId);
  });

  test("a lost link costs the container nothing: outputs and inputs go on over the next one", async () => {
    const containerId = worker.start({ functionName: "square" });
    await worker.ready(containerId);
    worker.plane.stores = false;
    const first = worker.give(containerId, 3);
    await worker.output(first);
    worker.plane.outputs.length = 0;
    const hellos = worker.plane.hellos.length;
    worker.plane.cut();
    await worker.plane.until(() => worker.plane.hellos.length > hellos);
    const hello = worker.plane.hellos.at(-1)?.containers.find((each) => each.containerId === containerId);
    expect(hello?.running.map((attempt) => attempt.inputId)).toEqual([first]);
    expect(dataOf(await worker.output(first))).toEqual(Buffer.from([9]));
    worker.plane.stores = true;
    expect(dataOf(await worker.output(worker.give(containerId, 4)))).toEqual(Buffer.from([16]));
    await worker.end(containerId);
  });

  test("a killed agent comes back and finds its containers, with the inputs that they hold", async () => {
    const running = worker.start({ functionName: "sleep" });
    const crashing = worker.start({ functionName: "exit_with" });
    await Promise.all([worker.ready(running), worker.ready(crashing)]);
    const held = worker.give(running, 1.5);
    await worker.plane.until(() => worker.plane.log(running).includes("sleeping"));
    const hellos = worker.plane.hellos.length;
    const before = worker.agent.pid();
    process.kill(before, "SIGKILL");
    await worker.plane.until(() => worker.plane.hellos.length > hellos);
    expect(worker.agent.pid()).not.toBe(before);
    const reported = worker.plane.hellos.at(-1)?.containers ?? [];
    expect(reported.find((each) => each.containerId === running)?.running.map((attempt) => attempt.inputId)).toEqual([held]);
    expect(reported.map((each) => each.containerId)).toEqual(expect.arrayContaining([running, crashing]));
    expect(resultOf(await worker.output(held)).status).toBe(GenericResult_GenericStatus.SUCCESS);
    await worker.plane.until(() => worker.plane.requests.findLast((request) => request.containerId === crashing && request.slots > 0));
    worker.give(crashing, 3);
    expect(await worker.exit(crashing)).toMatchObject({ reason: ExitReason.EXITED, code: 3 });
    worker.stop(running, { graceful: true });
    expect(await worker.exit(running)).toMatchObject({ reason: ExitReason.STOPPED });
    expect(worker.plane.log(running)).toBe("sleeping\n");
  });

  test("an ended container leaves nothing on the machine", async () => {
    const containerId = worker.start({ functionName: "square" });
    await worker.ready(containerId);
    expect(readdirSync(join(worker.agent.home, "agent"))).toContain(containerId);
    await worker.end(containerId);
    await worker.plane.until(() => worker.plane.ended.has(containerId));
    await vi.waitFor(() => {
      expect(readdirSync(join(worker.agent.home, "agent")).filter((name) => name.startsWith("ta-"))).toEqual([]);
      expect(readdirSync(`/run/squall/${worker.agent.instance}`).filter((name) => name.endsWith(".sock"))).toEqual([]);
    }, 5_000);
  });

  test("inputs run side by side where the function allows it", async () => {
    const containerId = worker.start({ functionName: "sleep", desired: { maxConcurrentInputs: 4 } });
    await worker.ready(containerId);
    const startedAt = performance.now();
    const inputIds = [1, 2, 3, 4].map(() => worker.give(containerId, 0.5));
    await Promise.all(inputIds.map((inputId) => worker.output(inputId)));
    expect(performance.now() - startedAt).toBeLessThan(1_800);
    await worker.end(containerId);
  });

  test("a container may end itself from inside, after its input", async () => {
    const containerId = worker.start({ functionName: "stop_fetching" });
    await worker.ready(containerId);
    expect(resultOf(await worker.output(worker.give(containerId, 1))).status).toBe(GenericResult_GenericStatus.SUCCESS);
    expect(await worker.exit(containerId)).toMatchObject({ reason: ExitReason.STOPPED, code: 0 });
  });

  test("names are resolved by the agent", async () => {
    const containerId = worker.start({ functionName: "ask_name_server" });
    await worker.ready(containerId);
    expect(dataOf(await worker.output(worker.give(containerId, "no-such-name.invalid"))).toString()).toMatch(/answer \d+ bytes/);
    await worker.end(containerId);
  });
});
