import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { removeInstanceLeftovers } from "../../src/leftovers.ts";
import { openCellRuntime, place, shell, start, tracesOfInstance, waitForOutput, waitUntil } from "./rig.ts";

test("removing an instance's leftovers ends its containers and leaves no process, mount, link, cgroup, filter or folder", async () => {
  const before = tracesOfInstance();
  const runtime = await openCellRuntime();
  for (const containerId of ["ta-a", "ta-b"]) {
    await start(runtime, { containerId, args: shell("trap '' INT TERM; echo up; sleep 1000") });
    await waitForOutput(runtime, containerId, "up");
  }
  await runtime.close();
  await removeInstanceLeftovers(place);
  await waitUntil(() => tracesOfInstance().processes <= before.processes); // the shims delete the runtime's state once their containers are dead
  expect(tracesOfInstance()).toMatchObject({ mounts: [], links: [], cgroups: [] });
  expect(execFileSync("nft", ["list", "tables"], { encoding: "utf8" })).not.toContain(place.instance);
  expect(existsSync(path.join(place.containersDir, "ta-a"))).toBe(false);
});

test("removing leftovers where there are none is fine", async () => {
  await removeInstanceLeftovers(place);
  await removeInstanceLeftovers({ ...place, containersDir: "/nonexistent/agent", runDir: "/nonexistent/run" });
});
