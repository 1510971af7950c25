/** One builder at a time on a machine, over all instances. */
import { spawn } from "node:child_process";
import { once } from "node:events";

/**
 * Runs `work` while holding the lock file. The kernel gives the lock back when the holder dies, however it dies. Calls `waiting` once when
 * somebody else holds it. The lock file stays: removing it would let two holders in.
 */
export async function runExclusively<T>(
  { lockPath, waiting }: { readonly lockPath: string; readonly waiting: () => void },
  work: () => Promise<T>,
): Promise<T> {
  let release = await lock(lockPath, ["--nonblock"]);
  if (!release) {
    waiting();
    release = await lock(lockPath, []);
  }
  if (!release) throw new Error(`cannot lock ${lockPath}`);
  try {
    return await work();
  } finally {
    await release();
  }
}

/** Node has no flock(2): util-linux's holds it for as long as its `cat` has our pipe, which ends with us. */
async function lock(path: string, options: readonly string[]): Promise<(() => Promise<void>) | undefined> {
  const holder = spawn("flock", [...options, "--no-fork", path, "sh", "-c", "echo locked; exec cat"], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = once(holder, "exit");
  const locked = once(holder.stdout, "data").then(() => true);
  if (!(await Promise.race([locked, ended.then(() => false)]))) return undefined;
  return async () => {
    holder.stdin.end();
    await ended;
  };
}
