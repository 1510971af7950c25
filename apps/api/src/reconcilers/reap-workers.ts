/** Workers that were silent for their whole lease: marked lost, what they ran is given to others. */
import type { Id } from "@squall/core/ids";
import type { WorkerRecord } from "@squall/services/cluster/state";
import type { ServiceDeps } from "@squall/services/context";
import { changeWorkerState } from "@squall/services/worker/change-state";
import { noteWorkersHeard } from "@squall/services/worker/note-heard";
import type { Cluster } from "../agents/cluster.ts";
import { Blindness } from "./blindness.ts";
import type { Reconciler } from "./driver.ts";

export const workerLeaseMs = 30_000;
const everyMs = 2_500;

export interface ReapWorkersOptions {
  readonly deps: Pick<ServiceDeps, "db" | "clock" | "log">;
  readonly cluster: Cluster;
  readonly leaseMs?: number;
}

export function reapWorkers({ deps, cluster, leaseMs = workerLeaseMs }: ReapWorkersOptions): Reconciler {
  const blindness = new Blindness(deps.clock.monotonic(), everyMs);
  const activate = async (): Promise<number> => {
    const nowMs = deps.clock.monotonic();
    blindness.look(nowMs);
    try {
      await noteWorkersHeard({ deps, workerIds: [...cluster.state.workers.values()].filter((worker) => worker.isConnected).map((worker) => worker.workerId) });
    } catch (error) {
      blindness.look(nowMs, true); // what agents sent could not be stored either
      throw error;
    }
    for (const workerId of silentWorkers([...cluster.state.workers.values()], { leaseMs, silentForMs: (atMs) => blindness.silentForMs(atMs, nowMs) })) {
      deps.log.warn({ workerId }, "worker lost: silent for its whole lease");
      await changeWorkerState({ deps, workerId, event: "lose" });
      await cluster.loseWorker(workerId);
    }
    return Math.min(everyMs, leaseMs / 4);
  };
  return { name: "reap-workers", activate };
}

/** When most of three or more workers fall silent together the fault is probably ours, or the network's: they get a second lease. */
export function silentWorkers(
  workers: readonly WorkerRecord[],
  { leaseMs, silentForMs }: { readonly leaseMs: number; readonly silentForMs: (lastHeardMs: number) => number },
): Id<"worker">[] {
  const watched = workers.filter((worker) => worker.state !== "lost");
  const silent = watched.filter((worker) => silentForMs(worker.lastHeardMs) >= leaseMs);
  const areMost = watched.length >= 3 && silent.length * 2 > watched.length;
  return silent.filter((worker) => !areMost || silentForMs(worker.lastHeardMs) >= 2 * leaseMs).map((worker) => worker.workerId);
}
