import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, afterEach, expect, test } from "vitest";
import { identify } from "./process-identity.ts";

interface ReadyLine {
  readonly server_url: string;
  readonly token_id: string;
  readonly token_secret: string;
  readonly home: string;
  readonly instance: string;
  readonly processes: Readonly<Record<string, number>>;
}

interface Running {
  readonly launcher: ChildProcess;
  readonly ready: ReadyLine;
  readonly log: () => string;
}

const homes: string[] = [];
const launchers: ChildProcess[] = [];

function newHome(): string {
  const home = mkdtempSync(join(tmpdir(), "squall-up-"));
  homes.push(home);
  return home;
}

function spawnUp(home: string, args: readonly string[]) {
  const launcher = spawn(process.execPath, [join(import.meta.dirname, "../test/stand-in-up.ts"), "--json", ...args], {
    env: { ...process.env, SQUALL_HOME: home },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  launchers.push(launcher);
  let log = "";
  launcher.stderr.setEncoding("utf8").on("data", (text: string) => {
    log += text;
  });
  return { launcher, log: () => log };
}

async function startUp(home: string, args: readonly string[] = ["--port", "0"]): Promise<Running> {
  const { launcher, log } = spawnUp(home, args);
  const ended = once(launcher, "exit").then(() => {
    throw new Error(`ended before it was ready:\n${log()}`);
  });
  const line = await Promise.race([once(createInterface({ input: launcher.stdout ?? process.stdin }), "line"), ended]);
  return { launcher, ready: JSON.parse(String(line[0])), log };
}

async function stop({ launcher }: Running, signal: NodeJS.Signals = "SIGINT"): Promise<number | null> {
  const ended = once(launcher, "exit");
  launcher.kill(signal);
  await ended;
  return launcher.exitCode;
}

async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 15_000;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`not within 15 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

function alive(pids: Readonly<Record<string, number>>): string[] {
  return Object.entries(pids)
    .filter(([, pid]) => identify(pid) !== undefined)
    .map(([name]) => name);
}

afterEach(async () => {
  for (const launcher of launchers.splice(0)) {
    if (launcher.exitCode !== null || launcher.signalCode !== null) continue;
    launcher.kill("SIGINT");
    await once(launcher, "exit");
  }
});
afterAll(() => {
  for (const home of homes) rmSync(home, { recursive: true, force: true });
});

test("the ready line names the instance, its processes and a token, and Ctrl-C leaves nothing", async () => {
  const running = await startUp(newHome());
  const { ready } = running;
  expect(Object.keys(ready.processes).sort()).toEqual(["agent", "api", "keeper-agent", "keeper-api", "launcher", "postgres"]);
  expect(alive(ready.processes)).toHaveLength(6);
  expect(ready.token_id).toMatch(/^ak-\w{22}$/);
  expect(ready.token_secret).toMatch(/^as-\w+$/);
  expect(ready.instance).toMatch(/^[a-z]{6}$/);
  expect(await (await fetch(`${ready.server_url}/healthz`)).json()).toMatchObject({ workers: { online: 1 }, url: ready.server_url });
  const startedAt = performance.now();
  expect(await stop(running)).toBe(0);
  expect(performance.now() - startedAt).toBeLessThan(10_000);
  expect(alive(ready.processes)).toEqual([]);
  expect(existsSync(`/run/squall/${ready.instance}`)).toBe(false);
});

test("secrets of an instance are readable by root only and are the same at the next start", async () => {
  const home = newHome();
  const first = await startUp(home);
  for (const name of ["master.key", "operator.json", "worker-token"]) expect(statSync(join(home, name)).mode & 0o777, name).toBe(0o600);
  await stop(first, "SIGTERM");
  const second = await startUp(home);
  expect(second.ready).toMatchObject({ token_id: first.ready.token_id, token_secret: first.ready.token_secret, instance: first.ready.instance });
});

test("two instances run side by side", async () => {
  const [first, second] = await Promise.all([startUp(newHome()), startUp(newHome())]);
  expect(first.ready.server_url).not.toBe(second.ready.server_url);
  expect(first.ready.instance).not.toBe(second.ready.instance);
  await stop(first);
  expect((await fetch(`${second.ready.server_url}/healthz`)).ok).toBe(true);
});

test("a second launcher on the same home is refused and told the pid of the first", async () => {
  const home = newHome();
  const first = await startUp(home);
  const second = spawnUp(home, ["--port", "0"]);
  const [code] = await once(second.launcher, "close");
  expect(code).toBe(1);
  expect(second.log()).toContain(`in use by another instance (pid ${first.launcher.pid})`);
  expect((await fetch(`${first.ready.server_url}/healthz`)).ok).toBe(true);
});

test("what a killed launcher started ends, and the next start works", async () => {
  const home = newHome();
  const first = await startUp(home);
  await stop(first, "SIGKILL");
  await until("all its processes are gone", () => alive(first.ready.processes).length === 0);
  const second = await startUp(home);
  expect(second.ready.instance).toBe(first.ready.instance);
});

test("a killed api, keeper or PostgreSQL is started again, at the same address", async () => {
  const running = await startUp(newHome());
  const { processes, server_url: url, home } = running.ready;
  const answers = () => fetch(`${url}/healthz`, { signal: AbortSignal.timeout(10_000) }).then(({ ok }) => ok);
  process.kill(processes["api"] ?? 0, "SIGKILL");
  expect(await answers()).toBe(true);
  process.kill(processes["keeper-api"] ?? 0, "SIGKILL");
  await until("the same address answers again", () => answers().catch(() => false)); // refused until the new keeper listens
  process.kill(processes["postgres"] ?? 0, "SIGKILL");
  await until("PostgreSQL is started again", () => running.log().includes("PostgreSQL ended") && existsSync(join(home, "postgres/postmaster.pid")));
  expect(await stop(running)).toBe(0);
});

test("a held child stays away until the hold file goes, and callers wait", async () => {
  const running = await startUp(newHome());
  const { processes, server_url: url, home } = running.ready;
  writeFileSync(join(home, "hold/api"), "");
  process.kill(processes["api"] ?? 0, "SIGKILL");
  await until("the api is gone", () => alive({ api: processes["api"] ?? 0 }).length === 0);
  let answered = false;
  const answer = fetch(`${url}/healthz`).then(() => {
    answered = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 300)); // long enough for an answer that must not come
  expect(answered).toBe(false);
  rmSync(join(home, "hold/api"));
  await answer;
});

test("a port in use is said, and nothing stays behind", async () => {
  const first = await startUp(newHome());
  const home = newHome();
  const second = spawnUp(home, ["--port", new URL(first.ready.server_url).port]);
  const [code] = await once(second.launcher, "close");
  expect(code).toBe(1);
  expect(second.log()).toContain("EADDRINUSE");
  expect(existsSync(`/run/squall/${readFileSync(join(home, "instance"), "utf8").trim()}`)).toBe(false);
});
