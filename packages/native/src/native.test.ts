import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, expect, test } from "vitest";
import { buildNative, initProgram } from "./build.ts";
import { probeMachine } from "./probe.ts";
import { startSpawner } from "./spawner.ts";

const run = promisify(execFile);
const cacheDir = mkdtempSync(path.join(tmpdir(), "squall-native-"));
const nativePath = await buildNative({ cacheDir });

afterAll(() => rmSync(cacheDir, { recursive: true, force: true }));

test("the same source is compiled once, also by several builders at a time", async () => {
  const before = statSync(nativePath).mtimeMs;
  expect(await Promise.all([buildNative({ cacheDir }), buildNative({ cacheDir })])).toEqual([nativePath, nativePath]);
  expect(statSync(nativePath).mtimeMs).toBe(before);
  const other = path.join(cacheDir, "other");
  const paths = await Promise.all([buildNative({ cacheDir: other }), buildNative({ cacheDir: other })]);
  expect(new Set(paths).size).toBe(1);
  expect(readdirSync(path.join(other, "native"))).toHaveLength(1);
});

test("a program's status, output and errors come back, and stdin reaches it", async () => {
  const spawner = startSpawner({ nativePath });
  expect(await spawner.run(["/bin/sh", "-c", "cat; echo bad >&2; exit 3"], { stdin: "hello" })).toEqual({ code: 3, stdout: "hello", stderr: "bad\n" });
  expect(await spawner.run(["/bin/sh", "-c", "kill -9 $$"])).toMatchObject({ code: 137 });
  expect(await spawner.run(["/no/such/program"])).toMatchObject({ code: 127, stderr: "cannot run /no/such/program: No such file or directory\n" });
  await spawner.close();
});

test("a hundred programs at once all answer, each with its own words", async () => {
  const spawner = startSpawner({ nativePath });
  const results = await Promise.all(Array.from({ length: 100 }, (_, index) => spawner.run(["/bin/echo", String(index)])));
  expect(results.map(({ stdout }) => stdout)).toEqual(results.map((_, index) => `${index}\n`));
  await spawner.close();
});

test("output is captured up to a bound and never blocks the program", async () => {
  const spawner = startSpawner({ nativePath });
  const { code, stdout } = await spawner.run(["/bin/sh", "-c", "head -c 3000000 /dev/zero"]);
  expect([code, stdout.length]).toEqual([0, 256 * 1024]);
  await spawner.close();
});

test("a detached program answers when it is ready and outlives the spawner", async () => {
  const spawner = startSpawner({ nativePath });
  const { pid, ready } = await spawner.detach(["/bin/sh", "-c", "echo up >&3; exec 3>&-; exec sleep 30"]);
  expect(ready).toBe("up\n");
  await spawner.close();
  expect(process.kill(pid, 0)).toBe(true);
  process.kill(pid, "SIGKILL");
});

test("a detached program that fails says so", async () => {
  const spawner = startSpawner({ nativePath });
  expect((await spawner.detach(["/no/such/program"])).ready).toContain("cannot run /no/such/program");
  await spawner.close();
});

test("after the spawner is gone every call is refused", async () => {
  const spawner = startSpawner({ nativePath });
  await spawner.close();
  await expect(spawner.run(["/bin/true"])).rejects.toThrow(/spawner ended/);
});

test("init ends with the command's status, 128 + n after a signal, 127 when there is no command", async () => {
  const init = initProgram(nativePath);
  const codeOf = async (...args: string[]) => (await once(spawn(init, args, { stdio: "ignore" }), "exit"))[0];
  expect(await codeOf("/bin/sh", "-c", "exit 7")).toBe(7);
  expect(await codeOf("/bin/sh", "-c", "kill -TERM $$")).toBe(143);
  expect(await codeOf("/no/such/program")).toBe(127);
});

test("init passes signals on to the command", async () => {
  const child = spawn(initProgram(nativePath), ["/bin/sh", "-c", "trap 'exit 9' INT; echo up; while :; do sleep 0.05; done"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  await once(child.stdout, "data");
  child.kill("SIGINT");
  expect((await once(child, "exit"))[0]).toBe(9);
});

test("in the cage /dev is small and private, and descriptors stay open", async () => {
  const { stdout } = await run(nativePath, ["agent-cage", "--", "/bin/sh", "-c", "ls /dev; chmod 600 /dev/null; stat -c %a /dev/null"]);
  expect(stdout.split("\n").filter((name) => !name.startsWith("nvidia"))).toEqual([
    ..."fd full null ptmx pts random shm stderr stdin stdout tty urandom zero 600".split(" "),
    "",
  ]);
  expect(statSync("/dev/null").mode & 0o777).toBe(0o666);
  const child = spawn(nativePath, ["agent-cage", "--", process.execPath, "-e", "process.send('hello')"], { stdio: ["ignore", "ignore", "ignore", "ipc"] });
  expect((await once(child, "message"))[0]).toBe("hello");
});

test("the machine's abilities are told with reasons, and trials leave nothing behind", async () => {
  const dir = mkdtempSync(path.join(tmpdir(), "squall-probe-"));
  expect(await probeMachine({ nativePath, dir })).toMatchObject({ userNamespaces: true, mappedOverlay: true, mappedTmpfs: true, networkNamespaces: true });
  expect(readdirSync(dir)).toEqual([]);
  rmSync(dir, { recursive: true });
});

test.each([
  ["a pid that is not below the cgroup", ["signal", "--pid", String(process.pid), "--start", "1", "--cgroup", "/sq-nobody", "--signal", "0"], 3],
  ["a cgroup that is not ours", ["kill-cgroup", "/"], 1],
  ["a cgroup that leaves ours", ["kill-cgroup", "/sq-abcdef/../.."], 1],
  ["pid 1", ["signal", "--pid", "1", "--start", "1", "--cgroup", "/sq-nobody", "--signal", "9"], 1],
])("%s is refused", async (_, args, code) => {
  await expect(run(nativePath, args)).rejects.toMatchObject({ code });
});

test("a scratch image that is no file system is refused by name", async () => {
  const image = path.join(cacheDir, "not-ext4");
  writeFileSync(image, Buffer.alloc(1 << 20));
  const mount = run(nativePath, ["agent-cage", "--", nativePath, "scratch-disk", "--image", image, "--target", cacheDir]);
  await expect(mount).rejects.toMatchObject({ stderr: expect.stringContaining("mount scratch disk") });
});
