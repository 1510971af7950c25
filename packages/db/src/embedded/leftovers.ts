/** Server processes that an earlier life left behind: two servers on one data folder destroy it, so a start waits until they are gone. */
import { readdir, readFile, readlink } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

const waitMs = 15_000; // a fast shutdown with a full checkpoint on a slow disk

/**
 * Resolves when no process works in `dataDir`. A postmaster that lost its launcher is asked to shut down; backends whose postmaster was killed end by
 * themselves. Throws with their pids when some stay.
 */
export async function waitForLeftovers(dataDir: string): Promise<void> {
  const deadline = performance.now() + waitMs;
  let asked = false;
  for (;;) {
    const pids = await processesIn(dataDir);
    if (pids.length === 0) return;
    const postmaster = await postmasterPid(dataDir);
    if (!asked && postmaster !== undefined && pids.includes(postmaster)) {
      asked = true;
      process.kill(postmaster, "SIGINT");
    }
    if (performance.now() > deadline) throw new Error(`PostgreSQL processes still use ${dataDir}: ${pids.join(", ")}`);
    await delay(50);
  }
}

/** Every process of the server stands in its data folder and runs `postgres`; nothing else does both. */
async function processesIn(dataDir: string): Promise<number[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const ours = await Promise.all(
    pids.map(async (pid) =>
      (await readlinkOr(`/proc/${pid}/cwd`)) === dataDir && /\/postgres( \(deleted\))?$/.test(await readlinkOr(`/proc/${pid}/exe`)) ? [Number(pid)] : [],
    ),
  );
  return ours.flat();
}

async function postmasterPid(dataDir: string): Promise<number | undefined> {
  const text = await readFile(join(dataDir, "postmaster.pid"), "utf8").catch(() => "");
  const pid = Number(text.split("\n")[0]);
  return Number.isInteger(pid) && pid > 1 ? pid : undefined;
}

async function readlinkOr(path: string): Promise<string> {
  return readlink(path).catch(() => ""); // the process ended meanwhile, or is a kernel thread
}
