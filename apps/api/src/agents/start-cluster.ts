/** Ties gateway, cluster and their reconcilers together. The dispatcher is there first; it asks for `agents` when it has something to send. */
import type { Id } from "@squall/core/ids";
import { loadCluster } from "@squall/services/cluster/load";
import { readFunctions } from "@squall/services/cluster/read-functions";
import type { ServiceDeps } from "@squall/services/context";
import { type Driven, drive } from "../reconcilers/driver.ts";
import { placeContainers } from "../reconcilers/place-containers.ts";
import { reapCallers } from "../reconcilers/reap-callers.ts";
import { reapWorkers } from "../reconcilers/reap-workers.ts";
import { stopApps } from "../reconcilers/stop-apps.ts";
import type { LogRelay } from "../relay/log-relay.ts";
import { Callers } from "./callers.ts";
import { Cluster } from "./cluster.ts";
import { DesiredContainers } from "./desired-state.ts";
import { Gateway } from "./gateway.ts";
import type { DispatchPort } from "./ports.ts";

export interface StartClusterOptions {
  readonly deps: ServiceDeps;
  readonly dispatch: DispatchPort;
  readonly logs: LogRelay;
  /** For tests: how long a silent worker and a silent caller are waited for. */
  readonly workerLeaseMs?: number;
  readonly callerLeaseMs?: number;
}

export interface RunningCluster {
  readonly cluster: Cluster;
  /** Implements AgentPort; `link` is the handler of AgentLink.Link. */
  readonly gateway: Gateway;
  readonly callers: Callers;
  /** An app has begun to stop: ends its calls and containers now. */
  stopApps(): void;
  /** Something changed that placement decides by (an app was published, a minimum was set). */
  place(): void;
  /** The bounds of a function were changed: reads them again and acts on them. */
  scalingChanged(functionId: Id<"function">): Promise<void>;
  stop(): Promise<void>;
}

/** Reads the cluster from the database and begins to work on it. */
export async function startCluster({ deps, dispatch, logs, workerLeaseMs, callerLeaseMs }: StartClusterOptions): Promise<RunningCluster> {
  const state = await loadCluster({ deps });
  const driven: Driven[] = [];
  let placement: Driven | undefined;
  const place = () => placement?.nudge();
  const cluster: Cluster = new Cluster({ deps, state, dispatch, links: () => gateway, changed: place });
  const failed = (containerId: Id<"container">, message: string) => void cluster.end(containerId, { reason: "startFailed", code: 0, message }).catch(report);
  const report = (error: unknown) => deps.log.error({ err: error }, "the end of a container was not stored");
  const gateway = new Gateway({ deps, cluster, dispatch, desired: new DesiredContainers({ deps, failed }) });
  const callers = new Callers();

  placement = drive(placeContainers({ deps, cluster, dispatch, logs }), deps.log);
  const stopping = drive(stopApps({ deps, dispatch, cluster, logs }), deps.log);
  const leases = { ...(workerLeaseMs === undefined ? {} : { leaseMs: workerLeaseMs }) };
  const callerLeases = { ...(callerLeaseMs === undefined ? {} : { leaseMs: callerLeaseMs }) };
  driven.push(placement, stopping);
  driven.push(drive(reapWorkers({ deps, cluster, ...leases }), deps.log));
  driven.push(drive(reapCallers({ deps, callers, stopping: stopping.nudge, ...callerLeases }), deps.log));
  dispatch.onDemand(place);
  for (const one of driven) one.nudge();

  const scalingChanged = async (functionId: Id<"function">) => {
    for (const spec of await readFunctions({ deps, functionIds: [functionId] })) state.keepFunction(spec);
    place();
  };
  const stop = async () => {
    gateway.close();
    await Promise.all(driven.map((one) => one.stop()));
  };
  return { cluster, gateway, callers, stopApps: stopping.nudge, place, scalingChanged, stop };
}
