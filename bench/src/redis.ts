/** Redis as a peer: Debian's package, unpacked into the cache (installing it would start a daemon), run from a temporary folder on a free port. */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { access, mkdir, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

export interface Redis {
  readonly port: number;
  readonly stop: () => Promise<void>;
}

/** Every write is on disk before it is answered (appendfsync always), which is the promise that ours makes too. */
export async function startRedis(cacheDir: string): Promise<Redis> {
  const root = await unpackRedis(cacheDir);
  const folder = await mkdtemp(join(tmpdir(), "bench-redis-"));
  const port = await freePort();
  const options = [
    "--port",
    String(port),
    "--bind",
    "127.0.0.1",
    "--dir",
    folder,
    "--appendonly",
    "yes",
    "--appendfsync",
    "always",
    "--save",
    "",
    "--maxmemory-policy",
    "noeviction",
  ];
  const child = spawn(join(root, "usr/bin/redis-server"), options, {
    env: { ...process.env, LD_LIBRARY_PATH: join(root, "usr/lib/x86_64-linux-gnu") },
    stdio: ["ignore", "pipe", "inherit"],
  });
  for await (const chunk of child.stdout) if (String(chunk).includes("Ready to accept connections")) break;
  child.stdout.resume();
  const stop = async () => {
    child.kill("SIGKILL");
    await once(child, "exit");
    await rm(folder, { recursive: true, force: true });
  };
  return { port, stop };
}

async function unpackRedis(cacheDir: string): Promise<string> {
  const target = join(cacheDir, "bench", "redis");
  const isThere = await access(target).then(
    () => true,
    () => false,
  );
  if (isThere) return target;
  await mkdir(join(cacheDir, "bench"), { recursive: true });
  const aside = await mkdtemp(`${target}-`);
  await run("apt-get", ["download", "-qq", "-o", "APT::Sandbox::User=root", "redis-server", "redis-tools", "libjemalloc2", "liblzf1"], { cwd: aside });
  for (const name of (await readdir(aside)).filter((file) => file.endsWith(".deb"))) await run("dpkg", ["-x", join(aside, name), aside]);
  await rename(aside, target);
  return target;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}
