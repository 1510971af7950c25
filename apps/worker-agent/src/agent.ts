/** All parts of the agent, tied together. Everything that touches the outside comes in from `main.ts`, or from a test. */
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { Socket } from "node:net";
import { availableParallelism, hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import type { Clock } from "@squall/core/clock";
import { GrpcServer } from "@squall/grpc/server";
import { ContainerStopRequestSchema } from "@squall/protocol/agent";
import { editsForDevices, readCdiSpecs } from "@squall/runtime/devices";
import type { Logger } from "pino";
import { adoptContainers } from "./adoption.ts";
import type { ApiStreams } from "./api-streams.ts";
import { startBlobDoor } from "./blob-door.ts";
import { BulkStreams } from "./bulk-streams.ts";
import { type Config, containersDir, filesDir, usageDir } from "./config.ts";
import { CallRelay } from "./container-gateway/call-relay.ts";
import { ContainerDoors } from "./container-gateway/doors.ts";
import { gatewayTable } from "./container-gateway/gateway.ts";
import type { RunnerDeps } from "./container-runner.ts";
import { Containers } from "./containers.ts";
import { ControlLink } from "./control-link.ts";
import { startDnsProxy } from "./dns.ts";
import { FileCache } from "./file-cache.ts";
import { Cards, devicesHook } from "./hooks/devices.ts";
import { filesHook } from "./hooks/files.ts";
import { type Doors, gatewayHook } from "./hooks/gateway.ts";
import type { ContainerHook } from "./hooks/hook.ts";
import { imageHook } from "./hooks/image.ts";
import { networkHook } from "./hooks/network.ts";
import { rootHook } from "./hooks/root.ts";
import { secretsHook } from "./hooks/secrets.ts";
import { imageSources } from "./image-sources.ts";
import { readInventory } from "./inventory.ts";
import { LogShipper } from "./logs.ts";
import { Outbox } from "./outbox.ts";
import type { RuntimePort } from "./runtime-port.ts";
import { dispatchMessage, helloMessage, resume, sendRequest, suspend } from "./session.ts";
import { StartGate } from "./start-gate.ts";
import { UsageJournal } from "./usage.ts";

export interface AgentOptions {
  readonly config: Config;
  readonly runtime: RuntimePort;
  readonly streams: ApiStreams;
  readonly doors: Doors;
  /** Doors that were open before: containers of an earlier agent may be behind them. */
  readonly openDoors: readonly string[];
  readonly clock: Clock;
  readonly log: Logger;
  /** 53 but in tests. */
  readonly dnsPort?: number;
}

export interface Agent {
  /** A connection on the door of a container. */
  connection(door: string, socket: Socket): void;
  /** Keeps the link to the control plane, until `close`. */
  run(): void;
  /** Ends every container at once and takes down what stands around them; the link stays up for as long as it takes to say so. */
  close(): Promise<void>;
}

const agentVersion = "0.1.0";
// What is printed in a container's last moments should arrive, but Ctrl-C must not take long.
const lastLogsMs = 1_000;
// Half of what a message to the control plane may have: it travels inside one, and one that is refused there ends the stream of all containers.
const maxContainerMessageBytes = 64 << 20;

export async function openAgent(options: AgentOptions): Promise<Agent> {
  const { config, runtime, streams, openDoors, clock, log } = options;
  const workerToken = (await readFile(join(config.homeDir, "worker-token"), "utf8")).trim();
  const dns = await startDnsProxy({ address: runtime.hostAddress, port: options.dnsPort ?? 53 });
  const blobDoor = await startBlobDoor({ address: runtime.hostAddress, port: config.blobPort, apiUrl: config.apiUrl });
  const inventory = await readInventory({ fakeGpus: config.fakeGpus, diskPath: containersDir(config), runtimes: [runtime.description] });
  const identity = { workerToken, workerName: `${hostname()}-${config.instance}`, agentVersion, bootId: randomUUID(), inventory };

  const outbox = new Outbox();
  const journal = await UsageJournal.open(usageDir(config));
  const logs = new LogShipper(runtime);
  const relay = new CallRelay();
  const cards = new Cards(inventory);
  const table = gatewayTable({
    relay,
    find: (containerId) => {
      const runner = containers.find(containerId);
      return runner?.isLive ? runner.inputs : undefined;
    },
    blobBaseUrl: `http://${runtime.hostAddress}:${blobDoor.port}`,
  });
  const server = new GrpcServer({
    table,
    maxStreamsPerConnection: 256,
    maxMessageBytes: maxContainerMessageBytes,
    onFault: ({ error, info }) => log.error({ err: error, path: info.path }, "container gateway"),
  });
  const containerDoors = new ContainerDoors(server);
  const hooks = containerHooks({ options, cards, containerDoors, workerToken });
  const runnerDeps: RunnerDeps = {
    ...{ runtime, hooks, outbox, logs, journal, cards, clock, log },
    gate: new StartGate(2 * availableParallelism()),
    containersDir: containersDir(config),
    changed: (runner) => {
      outbox.flush(); // an end must not overtake the outputs before it
      link.send({ case: "container", value: runner.report({ withEnd: true }) });
    },
    request: (containerId, slots, requestId) => {
      outbox.flush();
      sendRequest(link, { containerId, slots, requestId });
    },
    stopAsked: (containerId) => {
      link.send({ case: "containerStop", value: create(ContainerStopRequestSchema, { containerId }) });
      containers.find(containerId)?.stop({ graceful: true, reason: "asked to from inside" });
    },
    isConnected: () => link.isOpen,
  };
  const containers = new Containers({ runnerDeps, report: (report) => link.send({ case: "container", value: report }) });
  const bulk = new BulkStreams({ streams, logs, relay, log });
  const link: ControlLink = new ControlLink({
    open: () => streams.link(),
    hello: () => helloMessage(identity, { containers, outbox }),
    connected: (welcome, send) => {
      log.info({ worker: welcome.workerId }, "connected to the control plane");
      resume({ link, send, containers, outbox, journal });
      bulk.open(welcome.session);
    },
    disconnected: () => {
      suspend({ outbox, journal });
      bulk.close();
    },
    received: (message) => dispatchMessage(message, { containers, outbox, journal }, (error) => log.error({ err: error }, "usage journal")),
    clock,
    log,
  });
  const attach = (containerId: string) => containerDoors.attach(containerId);
  const adopted = await adoptContainers({
    runtime,
    containers,
    hooks,
    containersDir: containersDir(config),
    openDoors,
    closeDoor: options.doors.closeDoor,
    attach,
    log,
  });
  if (adopted > 0) log.info({ containers: adopted }, "took over the containers of an earlier agent");

  return {
    connection: (door, socket) => containerDoors.connection(door, socket),
    run: () => void link.run(),
    async close() {
      const all = containers.stopAll("the worker is shutting down");
      await Promise.race([all, delay(lastLogsMs)]);
      for (const runner of containers.all()) runner.abandonLogs();
      await all;
      outbox.flush();
      link.stop();
      bulk.close();
      await Promise.all([dns.close(), blobDoor.close(), server.close(0)]);
    },
  };
}

function containerHooks({
  options: { config, runtime, doors },
  cards,
  containerDoors,
  workerToken,
}: {
  options: AgentOptions;
  cards: Cards;
  containerDoors: ContainerDoors;
  workerToken: string;
}): ContainerHook[] {
  const cache = new FileCache({ dir: filesDir(config), apiUrl: config.apiUrl, workerToken });
  return [
    devicesHook(cards, (uuids) => editsForDevices(readCdiSpecs(), uuids)),
    imageHook(imageSources(config.cacheDir)),
    secretsHook(),
    filesHook({ runtime, cache }),
    networkHook(runtime),
    rootHook(runtime),
    gatewayHook({
      doors,
      socketDir: config.runDir,
      attach: (containerId) => containerDoors.attach(containerId),
      detach: (containerId) => containerDoors.detach(containerId),
    }),
  ];
}
