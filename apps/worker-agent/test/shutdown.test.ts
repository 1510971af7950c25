import { execFileSync } from "node:child_process";
import { existsSync, globSync, readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, test, vi } from "vitest";
import { startWorker } from "./worker-under-test.ts";

/** Everything on the machine that carries the instance's name. */
function tracesOf(instance: string): string[] {
  const cgroups = globSync([`/sys/fs/cgroup/sq-${instance}`, `/sys/fs/cgroup/*/sq-${instance}`]);
  const mounts = readFileSync("/proc/self/mounts", "utf8")
    .split("\n")
    .filter((line) => line.includes(instance));
  const links = readFileSync("/proc/net/dev", "utf8")
    .split("\n")
    .filter((line) => line.includes(instance));
  const tables = execFileSync("/usr/sbin/nft", ["list", "tables"], { encoding: "utf8" })
    .split("\n")
    .filter((line) => line.includes(instance));
  const processes = globSync("/proc/[0-9]*/cgroup").filter((path) => existsSync(path) && readOrEmpty(path).includes(`sq-${instance}`));
  return [...cgroups, ...mounts, ...links, ...tables, ...processes];
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // the process ended meanwhile
  }
}

describe("the end of an agent", () => {
  test("takes six seconds at most with containers running, and leaves nothing behind", async () => {
    const worker = await startWorker();
    const running = ["sleep", "square", "square"].map((functionName) => worker.start({ functionName }));
    await Promise.all(running.map((containerId) => worker.ready(containerId)));
    worker.give(running[0] ?? "", 600);
    await worker.plane.until(() => worker.plane.log(running[0] ?? "").includes("sleeping"));
    expect(tracesOf(worker.agent.instance)).not.toEqual([]);
    expect(await worker.close()).toBeLessThan(6_000);
    expect(tracesOf(worker.agent.instance)).toEqual([]);
  });

  test("a refused worker says what is wrong, and goes on trying", async () => {
    const worker = await startWorker({ token: "wt-wrong" });
    await worker.plane.until(() => worker.plane.hellos.length > 1);
    expect(worker.agent.log()).toContain("refuses this worker: its token");
    await worker.close();
  });

  test("whenever an agent is killed, the next one leaves nothing half made behind", async () => {
    const worker = await startWorker();
    const { plane, agent } = worker;
    for (const afterMs of [2, 12, 25, 40, 70, 150]) {
      const started = ["square", "square", "square"].map((functionName) => worker.start({ functionName }));
      await delay(afterMs);
      const hellos = plane.hellos.length;
      process.kill(agent.pid(), "SIGKILL");
      await plane.until(() => plane.hellos.length > hellos);
      const known = (plane.hellos.at(-1)?.containers ?? []).map((each) => each.containerId);
      expect(started).toEqual(expect.arrayContaining(known));
      worker.wantNothing();
      await vi.waitFor(() => expect(globSync(`${agent.home}/agent/ta-*`), `killed after ${afterMs} ms\n${agent.log()}`).toEqual([]), 10_000);
      expect(globSync([`/sys/fs/cgroup/sq-${agent.instance}/ta-*`, `/sys/fs/cgroup/*/sq-${agent.instance}/ta-*`])).toEqual([]);
      expect(globSync(`/run/squall/${agent.instance}/*.sock`)).toEqual([]);
    }
    const again = worker.start({ functionName: "square" });
    await worker.ready(again);
    expect(await worker.close()).toBeLessThan(6_000);
    expect(tracesOf(agent.instance)).toEqual([]);
  }, 60_000);
});
