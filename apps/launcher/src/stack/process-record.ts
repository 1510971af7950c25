/** What the last launcher of a home had started, so that the next one can end what a killed launcher left. */
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { identify, isAlive, type ProcessIdentity } from "../process-identity.ts";
import { say } from "../say.ts";

const endTimeoutMs = 10_000;
const checkMs = 50;

export function recordLauncher(home: string): void {
  writeFileSync(join(home, "launcher.pid"), `${process.pid}\n`);
}

export function readLauncherPid(home: string): string | undefined {
  const path = join(home, "launcher.pid");
  return existsSync(path) ? readFileSync(path, "utf8").trim() : undefined;
}

/** Notes the processes that must not outlive this launcher. */
export function recordProcesses(home: string, processes: Readonly<Record<string, number>>): void {
  const identities: Record<string, ProcessIdentity> = {};
  for (const [name, pid] of Object.entries(processes)) {
    const identity = name === "launcher" ? undefined : identify(pid);
    if (identity) identities[name] = identity;
  }
  const path = join(home, "processes.json");
  writeFileSync(`${path}.aside`, JSON.stringify(identities));
  renameSync(`${path}.aside`, path);
}

/** Ends the processes of an earlier launcher that was killed. Call it under the home's lock. Keepers notice the death of their launcher themselves. */
export async function endEarlierProcesses(home: string): Promise<void> {
  const left = Object.entries(readRecord(home)).filter(([, identity]) => isAlive(identity));
  if (left.length === 0) return;
  say(`ending what an earlier launcher left: ${left.map(([name, { pid }]) => `${name} (pid ${pid})`).join(", ")}`);
  for (const [name, { pid }] of left) signal(pid, name === "postgres" ? "SIGINT" : "SIGTERM"); // PostgreSQL's fast shutdown
  await allGone(left.map(([, identity]) => identity));
  for (const [, identity] of left) if (isAlive(identity)) signal(identity.pid, "SIGKILL");
  await allGone(left.map(([, identity]) => identity));
}

function readRecord(home: string): Record<string, ProcessIdentity> {
  const path = join(home, "processes.json");
  return existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : {};
}

async function allGone(identities: readonly ProcessIdentity[]): Promise<void> {
  const until = performance.now() + endTimeoutMs;
  while (identities.some(isAlive) && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, checkMs));
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It ended between the look and the signal.
  }
}
