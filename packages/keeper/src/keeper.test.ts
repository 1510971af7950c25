import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { asMessage, type ToParent } from "./protocol.ts";

const folder = mkdtempSync(join(tmpdir(), "squall-keeper-"));
const main = join(import.meta.dirname, "main.ts");
const echo = join(import.meta.dirname, "../test/echo-child.ts");
const keepers: ChildProcess[] = [];

interface Keeper {
  readonly process: ChildProcess;
  readonly port: number;
  /** The next message of this type that has not been taken yet. */
  readonly next: (type: ToParent["type"]) => Promise<ToParent>;
}

async function startKeeper(name: string): Promise<Keeper> {
  const args = [main, "--name", name, "--door", "public=tcp:127.0.0.1:0", "--hold", join(folder, `${name}.hold`), "--pid-file", join(folder, `${name}.pid`)];
  const child = spawn(process.execPath, [...args, "--env", "ECHO_PORT={public.port}", "--", process.execPath, echo], {
    stdio: ["ignore", "inherit", "pipe", "ipc"],
  });
  keepers.push(child);
  const messages: ToParent[] = [];
  child.on("message", (value) => {
    const message = asMessage<ToParent>(value);
    if (message) messages.push(message);
  });
  const next = async (type: ToParent["type"]) => {
    for (;;) {
      const index = messages.findIndex((message) => message.type === type);
      const [found] = index < 0 ? [] : messages.splice(index, 1);
      if (found) return found;
      await once(child, "message", { signal: AbortSignal.timeout(10_000) });
    }
  };
  const door = await next("door");
  return { process: child, port: door.type === "door" ? door.port : 0, next };
}

/** Sends one line and answers the line that comes back. */
async function ask(where: { readonly port: number } | { readonly path: string }, line: string): Promise<string> {
  const socket = "path" in where ? net.connect(where.path) : net.connect(where.port, "127.0.0.1");
  socket.write(`${line}\n`);
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk);
  return Buffer.concat(chunks).toString().trim();
}

function childPid(name: string): number {
  return Number(readFileSync(join(folder, `${name}.pid`), "utf8"));
}

function isAlive(pid: number): boolean {
  return existsSync(`/proc/${pid}`);
}

afterEach(async () => {
  for (const keeper of keepers.splice(0)) {
    if (keeper.exitCode !== null || keeper.signalCode !== null) continue;
    keeper.kill("SIGTERM");
    await once(keeper, "exit");
  }
});

test("a connection made while the child is away waits and is answered by the next child", async () => {
  const keeper = await startKeeper("away");
  await keeper.next("ready");
  expect(await ask({ port: keeper.port }, "one")).toMatch(/one$/);
  writeFileSync(join(folder, "away.hold"), "");
  const first = childPid("away");
  process.kill(first, "SIGKILL");
  const waiting = Array.from({ length: 20 }, (_, index) => ask({ port: keeper.port }, `held ${index}`));
  const early = await Promise.race([...waiting, new Promise<string>((resolve) => setTimeout(() => resolve("nobody answered"), 300))]);
  expect(early).toBe("nobody answered");
  rmSync(join(folder, "away.hold"));
  const answers = await Promise.all(waiting);
  expect(answers.map((answer) => answer.replace(/^\d+ /, ""))).toEqual(Array.from({ length: 20 }, (_, index) => `held ${index}`));
  expect(childPid("away")).not.toBe(first);
});

test("a unix door that the child asked for outlives the child and is known to the next one", async () => {
  const keeper = await startKeeper("unix");
  await keeper.next("ready");
  const path = join(folder, "container.sock");
  expect(await ask({ port: keeper.port }, `open ${path}`)).toBe("opened");
  expect(await ask({ port: keeper.port }, `open ${path}`)).toBe("opened");
  process.kill(childPid("unix"), "SIGKILL");
  expect(await ask({ path }, "hello")).toMatch(/hello$/);
  expect(await ask({ port: keeper.port }, "doors")).toBe("public,container");
  expect(await ask({ port: keeper.port }, "close")).toBe("closed");
  expect(existsSync(path)).toBe(false);
});

test("a connection that a dying child had not taken is answered by the next child", async () => {
  const keeper = await startKeeper("frozen");
  await keeper.next("ready");
  const first = childPid("frozen");
  process.kill(first, "SIGSTOP");
  const waiting = Array.from({ length: 10 }, (_, index) => ask({ port: keeper.port }, `line ${index}`));
  await new Promise((resolve) => setTimeout(resolve, 200)); // the keeper has offered them by then; nothing tells us when
  process.kill(first, "SIGKILL");
  expect((await Promise.all(waiting)).length).toBe(10);
});

test("the whole request arrives when the caller half closes its side", async () => {
  const keeper = await startKeeper("half");
  await keeper.next("ready");
  const socket = net.connect({ port: keeper.port, host: "127.0.0.1", allowHalfOpen: true });
  socket.end("late 100\n");
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk);
  expect(Buffer.concat(chunks).toString()).toMatch(/late/);
});

test("SIGTERM ends the child, the doors and the keeper", async () => {
  const keeper = await startKeeper("term");
  await keeper.next("ready");
  const pid = childPid("term");
  keeper.process.kill("SIGTERM");
  const [code] = await once(keeper.process, "exit");
  expect({ code, alive: isAlive(pid), pidFile: existsSync(join(folder, "term.pid")) }).toEqual({ code: 0, alive: false, pidFile: false });
});

test("a keeper whose parent died ends with its child", async () => {
  const keeper = await startKeeper("orphan");
  await keeper.next("ready");
  const pid = childPid("orphan");
  keeper.process.disconnect();
  await once(keeper.process, "exit");
  expect(isAlive(pid)).toBe(false);
});

test("the child learns the port of a door that asked for a free one", async () => {
  const keeper = await startKeeper("port");
  await keeper.next("ready");
  expect(await ask({ port: keeper.port }, "port")).toBe(String(keeper.port));
});

test("a port in use ends the keeper with the reason", async () => {
  const keeper = await startKeeper("first");
  const second = spawn(process.execPath, [main, "--door", `public=tcp:127.0.0.1:${keeper.port}`, "--", "true"], { stdio: ["ignore", "ignore", "pipe"] });
  let log = "";
  second.stderr.on("data", (chunk) => {
    log += String(chunk);
  });
  const [code] = await once(second, "close");
  expect(code).not.toBe(0);
  expect(log).toContain("EADDRINUSE");
});
