/** The real agent under its real keeper in its real cage, with a home of its own, against a simulated control plane. Needs root. */
import { type ChildProcess, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { buildNative } from "@squall/native/build";

const repository = resolve(import.meta.dirname, "../../..");
export const cacheDir = process.env["SQUALL_CACHE"] ?? "/var/cache/squall";

export interface AgentProcess {
  readonly instance: string;
  readonly home: string;
  /** Pid of the agent itself; another one after a restart. */
  pid(): number;
  log(): string;
  /** SIGTERM to its keeper; resolves with the milliseconds that the end took. */
  stop(): Promise<number>;
}

export async function startAgent({ port, workerToken, fakeGpus = "" }: { port: number; workerToken: string; fakeGpus?: string }): Promise<AgentProcess> {
  const instance = Array.from({ length: 6 }, () => String.fromCharCode(97 + randomInt(26))).join("");
  const home = mkdtempSync(join(tmpdir(), "squall-agent-"));
  const runDir = `/run/squall/${instance}`;
  chmodSync(home, 0o711);
  mkdirSync(runDir, { recursive: true, mode: 0o711 });
  writeFileSync(join(home, "worker-token"), workerToken, { mode: 0o600 });
  const native = await buildNative({ cacheDir });
  const pidFile = join(runDir, "agent.pid");
  const keeper = [join(repository, "packages/keeper/src/main.ts"), "--name", "agent", "--pid-file", pidFile];
  const child = spawn(native, ["agent-cage", "--", process.execPath, ...keeper, "--", process.execPath, join(repository, "apps/worker-agent/src/main.ts")], {
    env: {
      PATH: process.env["PATH"],
      SQUALL_HOME: home,
      SQUALL_CACHE: cacheDir,
      SQUALL_RUN: runDir,
      SQUALL_INSTANCE: instance,
      SQUALL_API_URL: `http://127.0.0.1:${port}`,
      SQUALL_NATIVE: native,
      SQUALL_FAKE_GPUS: fakeGpus,
      SQUALL_LOG_LEVEL: "debug",
      SQUALL_NETWORK_POOL: "4",
    },
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  });
  let log = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    log += text;
  });
  return {
    instance,
    home,
    pid: () => (existsSync(pidFile) ? Number(readFileSync(pidFile, "utf8")) : 0),
    log: () => log,
    stop: async () => {
      const startedAt = performance.now();
      await end(child);
      rmSync(home, { recursive: true, force: true });
      rmSync(runDir, { recursive: true, force: true });
      return performance.now() - startedAt;
    },
  };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit", { signal: AbortSignal.timeout(12_000) });
  child.kill("SIGTERM");
  await ended;
}
