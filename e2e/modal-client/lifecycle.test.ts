/** What dies and what is left: the api under a running map, the caller, the whole stack. On a stack of its own, which it may kill. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { containerPids, hostObjects, until } from "../src/host.ts";
import { startModal } from "../src/modal-cli.ts";
import { childPid, type OwnStack, startStack } from "../src/stack.ts";

describe("on a stack of its own", { timeout: 240_000 }, () => {
  let stack: OwnStack;
  beforeAll(async () => {
    stack = await startStack();
  }, 200_000);
  afterAll(async () => {
    await stack.stop().catch(() => stack.launcher.kill("SIGKILL"));
  }, 30_000);

  test("a map over 1,000 inputs survives the death of the api for 5 s, each input with one result", async () => {
    const run = startModal(stack, ["run", "calls.py::slow_map"], { timeoutMs: 200_000 });
    await run.saw("SEEN 100");
    const hold = join(stack.home, "hold");
    mkdirSync(hold, { recursive: true });
    writeFileSync(join(hold, "api"), "");
    process.kill(childPid(stack, "api"), "SIGKILL");
    await new Promise((resolve) => setTimeout(resolve, 5_000)); // the outage itself
    rmSync(join(hold, "api"));
    const finished = await run.finished;
    expect(finished.output).toContain("RESULT 1000 True");
    expect(finished.code, finished.output).toBe(0);
  });

  test("Ctrl-C in modal run ends its containers within 2 s", async () => {
    const run = startModal(stack, ["run", "calls.py::nap_long"]);
    await run.saw("SUBMITTED");
    await until("a container runs", () => containerPids(stack.instance).length >= 2, 30_000);
    run.process.kill("SIGINT");
    const tookMs = await until("its containers are gone", () => containerPids(stack.instance).length === 0, 10_000);
    expect(tookMs).toBeLessThan(2_000);
    await run.finished;
  });

  test("a caller that is killed has its app stopped within 75 s", async () => {
    const run = startModal(stack, ["run", "calls.py::nap_long"], { timeoutMs: 200_000 });
    await run.saw("SUBMITTED");
    await until("a container runs", () => containerPids(stack.instance).length >= 2, 30_000);
    run.process.kill("SIGKILL");
    await run.finished;
    const tookMs = await until("its containers are gone", () => containerPids(stack.instance).length === 0, 80_000);
    expect(tookMs).toBeLessThan(77_000); // 75 s, and 2 s for the containers to end
    expect(tookMs).toBeGreaterThan(40_000); // not taken for dead at the first missing heartbeat
  });
});

test("a stack that ran a call and was stopped leaves nothing behind", { timeout: 300_000 }, async () => {
  const stack = await startStack();
  const run = startModal(stack, ["run", "calls.py::nap_long"]);
  await run.saw("SUBMITTED");
  await until("a container runs", () => containerPids(stack.instance).length >= 2, 30_000);
  expect(hostObjects(stack.instance, stack.home).processes.length).toBeGreaterThan(5);
  const code = await stack.stop();
  run.process.kill("SIGKILL");
  await run.finished;
  expect(code).toBe(0);
  expect(hostObjects(stack.instance, stack.home)).toEqual({
    processes: [],
    mounts: [],
    cgroups: [],
    networkNamespaces: [],
    links: [],
    tables: [],
    sockets: [],
  });
});
