import { spawn } from "node:child_process";
import { once } from "node:events";

export interface FileLock {
  readonly release: () => Promise<void>;
}

/**
 * Takes the lock of a file (flock(2), made when absent), waiting for it or not. `undefined`: somebody else holds it. Node has no flock, so a child
 * of ours holds it until its standard input closes, which the death of this process does too.
 */
export async function lockFile(path: string, { wait }: { readonly wait: boolean }): Promise<FileLock | undefined> {
  const holder = spawn("flock", [...(wait ? [] : ["--nonblock"]), path, "sh", "-c", "echo locked; exec cat"], {
    stdio: ["pipe", "pipe", "inherit"],
    detached: true, // a Ctrl-C in the terminal is for us, not for the holder
  });
  const ended = once(holder, "exit");
  const outcome = await Promise.race([once(holder.stdout, "data").then(() => "locked"), ended.then(() => "held elsewhere")]);
  if (outcome !== "locked") return undefined;
  const release = async () => {
    holder.stdin.end();
    await ended;
  };
  return { release };
}
