/** The control plane process: configuration, means, engines, doors, signals; nothing else is made here or anywhere else. */
import { hkdfSync } from "node:crypto";
import { join } from "node:path";
import type { Clock } from "@squall/core/clock";
import { connections, ready } from "@squall/keeper/child";
import { AgentLink } from "@squall/protocol/agent";
import { authorizeAccess } from "@squall/services/authorize";
import { findContainerCaller } from "@squall/services/identity/container-caller";
import { authenticateToken } from "@squall/services/token/authenticate";
import { bootstrapWorkspace } from "@squall/services/workspace/bootstrap";
import { pino } from "pino";
import { serveCalls } from "./agents/calls.ts";
import { startDispatcher } from "./agents/dispatch.ts";
import { type RunningCluster, startCluster } from "./agents/start-cluster.ts";
import { parseConfig, readHomeSecrets } from "./config.ts";
import { type Deps, openServiceDeps } from "./deps.ts";
import { BlobUrls } from "./doors/blob-urls.ts";
import { PublicDoor } from "./doors/public-door.ts";
import type { Gate } from "./grpc/bind.ts";
import { clientTable } from "./grpc/table.ts";
import { openLogs } from "./relay/logs.ts";
import { remember } from "./remember.ts";

const stopGraceMs = 1_000; // the launcher gives us 1.5 s

const config = parseConfig(process.env);
const secrets = readHomeSecrets(config.homeDir);
const log = pino({ level: config.logLevel, base: { process: "api" } }, pino.destination(2));
const clock: Clock = { now: () => Date.now(), monotonic: () => performance.now() };
const serviceDeps = await openServiceDeps({ config, masterKey: secrets.masterKey, clock, log });
const { tokenId, tokenSecret } = secrets.operator;
await bootstrapWorkspace(serviceDeps, { operatorToken: { tokenId, secret: tokenSecret }, workerToken: secrets.workerToken });

const signingKey = (purpose: string) => new Uint8Array(hkdfSync("sha256", secrets.masterKey, "", `squall/${purpose}`, 32));
const logs = await openLogs({ directory: join(config.homeDir, "logs"), deps: serviceDeps });
let lifecycle: RunningCluster | undefined;
const dispatch = await startDispatcher({ deps: serviceDeps, owner: `${config.instance}/${process.pid}`, agents: () => running().gateway });
lifecycle = await startCluster({ deps: serviceDeps, dispatch, logs });
const { cluster, gateway } = lifecycle;

const deps: Deps = { ...serviceDeps, dispatch, calls: dispatch, agents: gateway, cluster, logs, publicUrl: config.publicUrl, signingKey };
const callersKept = { keptMs: 5_000, maxEntries: 10_000, clock }; // a revoked token works that long
const gate: Gate = {
  deps: serviceDeps,
  authenticateToken: remember((id, secret) => authenticateToken(serviceDeps, id, secret), callersKept),
  authenticateContainer: remember((containerId, workerId) => findContainerCaller(serviceDeps, { containerId, workerId }), callersKept),
  authorize: authorizeAccess,
};
const blobUrls = new BlobUrls(signingKey("blob-urls"));
const onFault = ({ error, info }: { readonly error: unknown; readonly info: { readonly path: string } }) =>
  log.error({ err: error, rpc: info.path }, "rpc failed");
const containerTable = clientTable({ deps, gate, lifecycle, blobUrls, logs });
const publicTable = clientTable({ deps, gate, lifecycle, blobUrls, logs }).add(AgentLink, {
  link: (messages, info) => gateway.link(messages, info),
  logs: (messages, info) => logs.receive(messages, info, gateway),
  calls: (frames, info) => serveCalls(frames, info, { table: containerTable, sessionOf: (session) => gateway.sessionOf(session), onFault }),
});
const door = new PublicDoor({ ...serviceDeps, table: publicTable, blobUrls, onFault, health });

connections((_, socket) => void door.accept(socket));
ready();
log.info({ url: config.publicUrl, rpcs: publicTable.paths.length }, "api is ready");
let isStopping = false;
for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => void stop(signal));

function running(): RunningCluster {
  if (!lifecycle) throw new Error("the cluster has not been loaded yet");
  return lifecycle;
}

function health() {
  return { status: "ok", workers: { online: gateway.connectedWorkers } };
}

async function stop(signal: string): Promise<void> {
  if (isStopping) return;
  isStopping = true;
  log.info({ signal }, "stopping");
  process.disconnect?.(); // from now on the keeper keeps new connections for the next of us
  await running().stop();
  await door.close(stopGraceMs);
  await dispatch.close();
  await logs.close();
  await serviceDeps.db.close();
  process.exit(0);
}
