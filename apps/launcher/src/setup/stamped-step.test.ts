import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, expect, test } from "vitest";
import { lockFile } from "../file-lock.ts";
import { currentResult, runStep, type SetupStep } from "./stamped-step.ts";

const root = mkdtempSync(join(tmpdir(), "squall-setup-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const step: SetupStep = {
  name: "made",
  title: "made",
  inputs: ["input-*.txt"],
  run: async () => {
    writeFileSync(join(root, "result"), "");
    return join(root, "result");
  },
};

beforeEach(async () => {
  writeFileSync(join(root, "input-a.txt"), "one");
  await runStep(step, "cache", "1/1", root);
});

test("a step whose inputs are the same is not done again", () => {
  expect(currentResult(step, "cache", root)).toBe(join(root, "result"));
});

test("a changed input, a new one, another cache or a missing result make it due", () => {
  expect(currentResult(step, "other cache", root)).toBeUndefined();
  writeFileSync(join(root, "input-b.txt"), "");
  expect(currentResult(step, "cache", root)).toBeUndefined();
  rmSync(join(root, "input-b.txt"));
  expect(currentResult(step, "cache", root)).toBeDefined();
  writeFileSync(join(root, "input-a.txt"), "two");
  expect(currentResult(step, "cache", root)).toBeUndefined();
  writeFileSync(join(root, "input-a.txt"), "one");
  rmSync(join(root, "result"));
  expect(currentResult(step, "cache", root)).toBeUndefined();
});

test("a step that fails or is interrupted is due again", async () => {
  const failing: SetupStep = { ...step, name: "failing", run: () => Promise.reject(new Error("no network")) };
  await expect(runStep(failing, "cache", "1/1", root)).rejects.toThrow("no network");
  expect(currentResult(failing, "cache", root)).toBeUndefined();
});

test("a half-written stamp makes it due", () => {
  writeFileSync(join(root, ".squall/setup/made"), '{"hash":');
  expect(currentResult(step, "cache", root)).toBeUndefined();
});

test("one set-up at a time: the lock is refused while held and free afterwards", async () => {
  const path = join(root, "lock");
  const first = await lockFile(path, { wait: false });
  expect(first).toBeDefined();
  expect(await lockFile(path, { wait: false })).toBeUndefined();
  let gotSecond = false;
  const second = lockFile(path, { wait: true }).then((lock) => {
    gotSecond = true;
    return lock;
  });
  expect(gotSecond).toBe(false);
  await first?.release();
  await (await second)?.release();
  expect(existsSync(path)).toBe(true);
});
