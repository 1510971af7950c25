import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { runExclusively } from "./exclusive.ts";

const folder = mkdtempSync(join(tmpdir(), "exclusive-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("two at once run one after the other, and the second says that it waits", async () => {
  const lockPath = join(folder, "a");
  const events: string[] = [];
  const work = (name: string) => async () => {
    events.push(`${name} starts`);
    await new Promise((resolve) => setImmediate(resolve));
    events.push(`${name} ends`);
  };
  const waited: string[] = [];
  await Promise.all(["one", "two"].map((name) => runExclusively({ lockPath, waiting: () => waited.push(name) }, work(name))));
  const first = events[0]?.split(" ")[0];
  const second = first === "one" ? "two" : "one";
  expect(events).toEqual([`${first} starts`, `${first} ends`, `${second} starts`, `${second} ends`]);
  expect(waited.length).toBeLessThanOrEqual(1);
});

test("a holder that is killed gives the lock back", async () => {
  const lockPath = join(folder, "b");
  const source = `import { runExclusively } from ${JSON.stringify(join(import.meta.dirname, "exclusive.ts"))};
    await runExclusively({ lockPath: ${JSON.stringify(lockPath)}, waiting: () => {} }, async () => { console.log("held"); await new Promise((r) => setTimeout(r, 60_000)); });`;
  const holder = spawn(process.execPath, ["--input-type=module", "-e", source], { stdio: ["ignore", "pipe", "inherit"] });
  await once(holder.stdout, "data");
  holder.kill("SIGKILL");
  await expect(runExclusively({ lockPath, waiting: () => undefined }, async () => "mine")).resolves.toBe("mine");
});

test("work that fails gives the lock back and its error through", async () => {
  const lockPath = join(folder, "c");
  const failing = runExclusively({ lockPath, waiting: () => undefined }, () => Promise.reject(new Error("no")));
  await expect(failing).rejects.toThrow("no");
  await expect(runExclusively({ lockPath, waiting: () => undefined }, async () => 1)).resolves.toBe(1);
});
