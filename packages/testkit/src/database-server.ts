/**
 * The one PostgreSQL of all test processes of this machine, as a process of its own: started by the first that needs it, gone 10 s after the last has
 * left. Whoever is connected to its door uses it; the first line it says is the server's address.
 */
import { chmod, mkdir, mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { startEmbeddedPostgres } from "@squall/db/embedded/postgres";
import { migrate } from "@squall/db/migrate";

const idleMs = 10_000;
const settings = { fsync: "off", full_page_writes: "off", max_connections: "300", shared_buffers: "64MB" }; // a test's data need not survive the machine

/** Serves until nobody uses it. Ends at once when another process has the door already. */
async function serveTestDatabase(door: string): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(door, resolve));
  const address = start();
  let users = 0;
  let idle: NodeJS.Timeout | undefined;
  let isStopping = false;
  const leave = () => {
    users--;
    if (users === 0) idle = setTimeout(() => void stop().finally(() => process.exit(0)), idleMs);
  };
  const stop = async () => {
    isStopping = true;
    server.close();
    await (await address).stop();
  };
  server.on("connection", (socket) => {
    if (isStopping) return void socket.destroy(); // it looks again, and starts the next server
    users++;
    clearTimeout(idle);
    socket.on("error", () => undefined).once("close", leave);
    socket.resume();
    address.then(
      ({ socketDir }) => socket.write(`${socketDir}\n`),
      (error: unknown) => socket.end(`${inspect(error, { breakLength: Infinity }).replaceAll("\n", " ")}\n`),
    );
  });
}

async function start(): Promise<{ socketDir: string; stop(): Promise<void> }> {
  const home = await mkdtemp(join(tmpdir(), "squall-testkit-"));
  await chmod(home, 0o711);
  const run = join(home, "run");
  await mkdir(run, { mode: 0o711 });
  const postgres = await startEmbeddedPostgres({ home, run, cache: process.env["SQUALL_CACHE"] ?? "/var/cache/squall", settings });
  await migrate(postgres.urlFor("owner")); // the database that others are copied from
  const stop = async () => {
    await postgres.stop();
    await rm(home, { recursive: true, force: true });
  };
  return { socketDir: join(run, "postgres"), stop };
}

const [door] = process.argv.slice(2);
if (door) await serveTestDatabase(`\0${door}`).catch(() => process.exit(0)); // another process was first
