import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Runtime } from "../../src/runtime.ts";
import { readStarted } from "../../src/shim-files.ts";
import {
  closeCellRuntime,
  openCellRuntime,
  output,
  place,
  release,
  runToEnd,
  runtimeName,
  shell,
  start,
  tracesOfInstance,
  waitForOutput,
  waitUntil,
} from "./rig.ts";

let runtime: Runtime;

beforeAll(async () => {
  runtime = await openCellRuntime({ logBytes: 1 << 20 });
});

afterAll(() => closeCellRuntime(runtime));

test("the exit status of the command is the container's", async () => {
  const { end } = await runToEnd(runtime, { containerId: "ta-exit", args: shell("exit 7") });
  expect(end).toMatchObject({ kind: "exited", code: 7, signal: 0, oomKills: 0 });
});

test("a command that is not there ends with 127 and says so", async () => {
  const { end, stderr } = await runToEnd(runtime, { containerId: "ta-none", args: ["/bin/no-such-program"] });
  expect(end).toMatchObject({ kind: "exited", code: 127 });
  expect(stderr).toContain("cannot run /bin/no-such-program: No such file or directory");
});

test("stdout and stderr arrive apart and whole, and stdin is at its end", async () => {
  const { stdout, stderr } = await runToEnd(runtime, {
    containerId: "ta-out",
    args: shell("cat; echo one; echo two >&2; seq 1 20000 | tail -1; echo -n 'no newline'"),
  });
  expect(stdout).toBe("one\n20000\nno newline");
  expect(stderr).toBe("two\n");
});

test("a runtime that cannot start the container is quoted, and nothing is left", async () => {
  const job = { containerId: "ta-bad", args: shell("true"), binds: [{ source: "/no/such/source", target: "/root/x", readOnly: true }] };
  await expect(runToEnd(runtime, job)).rejects.toThrow(runtimeName === "crun" ? /start container: .*no\/such\/source/ : /start container: runc run failed: .+/); // runc 1.1 does not name it
  expect(existsSync(path.join(place.containersDir, "ta-bad"))).toBe(false);
});

test("a root that cannot be mounted is named", async () => {
  const job = { containerId: "ta-root", args: shell("true"), lowers: ["/no/such/tree"] };
  await expect(runToEnd(runtime, job)).rejects.toThrow(/start container: mount root: .*open layer \/no\/such\/tree: No such file or directory/);
});

test("the environment is on disk only until the command runs", async () => {
  const { dir } = await start(runtime, { containerId: "ta-env", args: shell("echo $SECRET; sleep 60"), env: { SECRET: "planted-secret" } });
  await waitForOutput(runtime, "ta-env", "planted-secret");
  const files = readdirSync(dir).filter((name) => !name.startsWith("log.") && name !== "events" && name !== "root" && name !== "etc");
  expect(files.filter((name) => readFileSync(path.join(dir, name), "utf8").includes("planted-secret"))).toEqual([]);
  await release(runtime, "ta-env");
});

test("SIGINT reaches the command through pid 1, and its own exit status counts", async () => {
  await start(runtime, { containerId: "ta-int", args: shell("trap 'echo cleaned up; exit 3' INT; echo up; while :; do sleep 0.05; done") });
  await waitForOutput(runtime, "ta-int", "up");
  expect(await runtime.signal("ta-int", "SIGINT")).toBe(true);
  expect(await runtime.waitExit("ta-int")).toMatchObject({ kind: "exited", code: 3 });
  expect(output(runtime, "ta-int").stdout).toContain("cleaned up");
  expect(await runtime.signal("ta-int", "SIGINT")).toBe(false);
  await release(runtime, "ta-int");
});

test("kill ends everything in the container, whatever it ignores", async () => {
  await start(runtime, {
    containerId: "ta-kill",
    args: shell("trap '' INT TERM HUP; (trap '' TERM; sleep 1000) & setsid sleep 1000 & echo up; wait; sleep 1000"),
  });
  await waitForOutput(runtime, "ta-kill", "up");
  expect(runtime.usage("ta-kill")?.pids).toBeGreaterThanOrEqual(4);
  await runtime.kill("ta-kill");
  expect(await runtime.waitExit("ta-kill")).toMatchObject({ kind: "exited", code: 137, signal: 9 });
  expect(runtime.usage("ta-kill")?.pids).toBe(0);
  await release(runtime, "ta-kill");
});

test("children that outlive the command die with it, and orphans are reaped", async () => {
  const { end, stdout } = await runToEnd(runtime, {
    containerId: "ta-orphan",
    args: shell("(sleep 0.05 & exec true) ; (setsid sleep 1000 &) ; sleep 0.3; ps | grep -c '\\[sleep\\]'; exit 4"),
  });
  expect(end).toMatchObject({ kind: "exited", code: 4 });
  expect(stdout.trim()).toBe("0");
});

test("running out of memory is named when it kills the command", async () => {
  const { end } = await runToEnd(runtime, { containerId: "ta-oom", args: ["/bin/probe", "memory", "400"], memoryBytes: 64 << 20 });
  expect(end).toMatchObject({ kind: "exited", code: 137, oomKills: 1 });
});

test("running out of memory is counted when it kills a child only", async () => {
  const { end, stdout } = await runToEnd(runtime, { containerId: "ta-oomc", args: ["/bin/probe", "memory-in-child", "400"], memoryBytes: 64 << 20 });
  expect(end).toMatchObject({ kind: "exited", code: 5, oomKills: 1 });
  expect(stdout).toContain("child ended by signal 9");
});

test("processor time and peak memory are counted to the end", async () => {
  const { end } = await runToEnd(runtime, { containerId: "ta-use", args: shell("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; probe memory 32") });
  expect(end.kind === "exited" && end.cpuNs > 50_000_000).toBe(true);
  expect(end.kind === "exited" && end.peakMemoryBytes >= 32 << 20).toBe(true);
});

test("a full log never blocks the command: what is dropped is marked, and acknowledged room is used again", async () => {
  await start(runtime, { containerId: "ta-log", args: shell("trap 'echo again; exit 0' USR1; head -c 3000000 /dev/zero; while :; do sleep 0.05; done") });
  await waitUntil(() => output(runtime, "ta-log").endOffset > 2 ** 20 - 3 * 65_549); // a segment's room is kept free, and frames are whole
  const first = output(runtime, "ta-log");
  runtime.dropLogs("ta-log", { belowOffset: first.endOffset });
  await runtime.signal("ta-log", "SIGUSR1");
  expect(await runtime.waitExit("ta-log")).toMatchObject({ kind: "exited", code: 0 });
  const rest = output(runtime, "ta-log", first.endOffset);
  expect(rest.stdout.endsWith("again\n") || rest.dropped > 0).toBe(true);
  expect(first.dropped + rest.dropped).toBeGreaterThan(0);
  expect(first.stdout.length + first.dropped + rest.stdout.length + rest.dropped).toBe(3_000_000 + "again\n".length);
  await release(runtime, "ta-log");
});

test("acknowledged log segments are deleted and reading goes on behind them", async () => {
  const { dir } = await start(runtime, {
    containerId: "ta-ack",
    args: shell("for i in 1 2 3 4 5 6; do head -c 60000 /dev/zero | tr '\\0' x; done; echo the end"),
  });
  await runtime.waitExit("ta-ack");
  const { endOffset, stdout } = output(runtime, "ta-ack");
  expect(stdout.length).toBe(6 * 60_000 + "the end\n".length);
  const before = readdirSync(dir).filter((name) => name.startsWith("log.")).length;
  runtime.dropLogs("ta-ack", { belowOffset: endOffset });
  expect(readdirSync(dir).filter((name) => name.startsWith("log.")).length).toBeLessThan(before);
  expect(runtime.readLogs("ta-ack", { offset: endOffset, maxBytes: 1 << 20 })).toEqual([]);
  await release(runtime, "ta-ack");
});

test("a container outlives the agent: another process adopts it, with its log and its exit status", async () => {
  await start(runtime, { containerId: "ta-live", args: shell("echo before; trap 'echo after; exit 6' USR1; while :; do sleep 0.05; done") });
  await waitForOutput(runtime, "ta-live", "before");
  await runtime.close();
  runtime = await openCellRuntime({ logBytes: 1 << 20 });
  expect(await runtime.listContainers()).toEqual(["ta-live"]);
  expect(await runtime.adopt("ta-live")).toBe("running");
  await runtime.signal("ta-live", "SIGUSR1");
  expect(await runtime.waitExit("ta-live")).toMatchObject({ kind: "exited", code: 6 });
  expect(output(runtime, "ta-live").stdout).toBe("before\nafter\n");
  await release(runtime, "ta-live");
});

test("an end that came while no agent was there is found", async () => {
  await start(runtime, { containerId: "ta-gone", args: shell("sleep 0.2; exit 9") });
  await runtime.close();
  await waitUntil(() => existsSync(path.join(place.containersDir, "ta-gone", "exit.json")));
  runtime = await openCellRuntime({ logBytes: 1 << 20 });
  expect(await runtime.adopt("ta-gone")).toBe("exited");
  expect(await runtime.waitExit("ta-gone")).toMatchObject({ kind: "exited", code: 9 });
  await release(runtime, "ta-gone");
});

test("a container whose shim was killed is lost, and releasing it ends it", async () => {
  const { dir } = await start(runtime, { containerId: "ta-lost", args: shell("echo up; sleep 1000") });
  await waitForOutput(runtime, "ta-lost", "up");
  const started = readStarted(path.join(dir, "started.json"));
  if (!started) throw new Error("no started.json");
  process.kill(started.shimPid, "SIGKILL");
  expect(await runtime.waitExit("ta-lost")).toEqual({ kind: "lost" });
  await release(runtime, "ta-lost");
  await waitUntil(() => !existsSync(`/proc/${started.pid}`));
});

test("a signal for a process that is not of the container is refused", async () => {
  await start(runtime, { containerId: "ta-sig", args: shell("sleep 1000") });
  const ticks = readFileSync("/proc/self/stat", "utf8").split(") ")[1]?.split(" ")[19] ?? "";
  const argv = ["signal", "--pid", String(process.pid), "--start", ticks, "--cgroup", "/sq-cellaa/ta-sig", "--signal", "9"];
  const { code, stderr } = await runtime.spawner.run([place.nativePath, ...argv]);
  expect(code).toBe(1);
  expect(stderr).toContain("refusing to signal");
  await release(runtime, "ta-sig");
});

test("thirty containers at once all run and leave nothing behind", async () => {
  await runtime.poolsFilled();
  const before = tracesOfInstance();
  const ids = Array.from({ length: 30 }, (_, index) => `ta-many${index}`);
  const results = await Promise.all(ids.map((containerId, index) => runToEnd(runtime, { containerId, args: shell(`echo ${containerId}; exit ${index}`) })));
  expect(results.map(({ end }) => end.kind === "exited" && end.code)).toEqual(ids.map((_, index) => index));
  expect(results.map(({ stdout }) => stdout)).toEqual(ids.map((id) => `${id}\n`));
  expect(new Set(results.map(({ uidBase }) => uidBase)).size).toBe(30);
  await runtime.poolsFilled();
  const after = tracesOfInstance();
  expect([after.mounts.length, after.links.length, after.processes]).toEqual([before.mounts.length, before.links.length, before.processes]);
  expect(await runtime.listContainers()).toEqual([]);
});
