/** The worker-agent: makes this machine match what the control plane wants, and leaves nothing behind when it is told to end. */
import { mkdir } from "node:fs/promises";
import { closeDoor, connections, doors, openDoor, ready } from "@squall/keeper/child";
import { removeInstanceLeftovers } from "@squall/runtime/leftovers";
import { openRuntime } from "@squall/runtime/runtime";
import { pino } from "pino";
import { openAgent } from "./agent.ts";
import { openApiStreams } from "./api-streams.ts";
import { containersDir, parseConfig } from "./config.ts";

// The launcher gives the agent six seconds; the machine must be clean before.
const stopPatienceMs = 5_500;

const config = parseConfig(process.env);
const log = pino({ name: "worker-agent", level: config.logLevel, base: null }, pino.destination({ dest: 2, sync: true }));
process.on("uncaughtException", (error) => fail(error));

try {
  await run();
} catch (error) {
  fail(error);
}

async function run(): Promise<void> {
  const openDoors = await doors();
  await mkdir(containersDir(config), { recursive: true, mode: 0o711 });
  const leftovers = { instance: config.instance, nativePath: config.nativePath, runDir: config.runDir, containersDir: containersDir(config) };
  // Without doors nothing that may still run can be reached: the keeper that held them is gone.
  if (openDoors.length === 0) await removeInstanceLeftovers(leftovers);
  const runtime = await openRuntime({
    ...leftovers,
    blobPort: config.blobPort,
    runtimeName: config.runtimeName,
    networkPoolSize: config.networkPoolSize,
    onError: (error) => log.warn({ err: error }, "runtime, in the background"),
  });
  const clock = { now: () => Date.now(), monotonic: () => performance.now() };
  const agent = await openAgent({ config, runtime, streams: openApiStreams(config.apiUrl), doors: { openDoor, closeDoor }, openDoors, clock, log });
  connections((door, socket) => agent.connection(door, socket));

  let isEnding = false;
  const end = async () => {
    if (isEnding) return;
    isEnding = true;
    const timer = setTimeout(() => fail(new Error(`still not clean after ${stopPatienceMs / 1000} s`)), stopPatienceMs);
    await agent.close();
    await runtime.close();
    await removeInstanceLeftovers(leftovers);
    clearTimeout(timer);
    process.exit(0);
  };
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => end().catch(fail));
  ready();
  agent.run();
}

function fail(error: unknown): void {
  log.fatal({ err: error }, "the worker-agent cannot go on");
  process.exit(1);
}
