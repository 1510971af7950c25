/** What the scheduler sees and what it answers: plain values, made new for every decision. */
import type { Id } from "@squall/core/ids";
import type { Resources } from "@squall/core/resources";

export interface ClusterView {
  readonly workers: readonly WorkerView[];
  /** Functions with demand, containers or a minimum; the others need no decision. */
  readonly functions: readonly FunctionView[];
}

export interface GpuStock {
  readonly type: string;
  readonly count: number;
  /** Advertised for tests: counted like a real one, named apart in reasons. */
  readonly isFake: boolean;
}

export interface WorkerView {
  readonly workerId: Id<"worker">;
  /** False when it is silent, cordoned or draining: keeps what it has, takes nothing. */
  readonly isOpen: boolean;
  readonly milliCpu: number;
  readonly memoryBytes: number;
  readonly gpus: readonly GpuStock[];
}

export interface FunctionView {
  readonly functionId: Id<"function">;
  readonly resources: Resources;
  readonly autoscaling: AutoscalingPolicy;
  readonly queuedInputs: number;
  readonly runningInputs: number;
  /** How long its oldest waiting input has waited; 0 when none waits. */
  readonly oldestQueuedForMs: number;
  readonly containers: readonly ContainerView[];
  /** False while its app stops, or after starts that failed in a row (back-off): nothing new is started. */
  readonly mayStart: boolean;
}

export interface AutoscalingPolicy {
  readonly minContainers: number;
  readonly maxContainers: number | undefined;
  /** Kept ready above what the demand needs, while there is demand. */
  readonly bufferContainers: number;
  readonly scaledownWindowMs: number;
  /** Inputs that one container is meant to run at a time; at least 1. */
  readonly targetConcurrency: number;
}

export interface ContainerView {
  readonly containerId: Id<"container">;
  readonly workerId: Id<"worker">;
  readonly resources: Resources;
  /** The card type that was given, for a request of `ANY`. */
  readonly gpuType: string | undefined;
  readonly phase: "beforeFirstInput" | "ready" | "stopping";
  /** How long it has been ready (or is leaving) with nothing to do; undefined while it works or starts. */
  readonly idleForMs: number | undefined;
}

export interface SchedulingPolicy {
  /** Containers between start and first input that one worker may carry: this many per core. */
  readonly startsPerCore: number;
  /** An idle container makes room for another function's waiting work after this long. */
  readonly evictAfterIdleMs: number;
}

export const defaultSchedulingPolicy: SchedulingPolicy = { startsPerCore: 2, evictAfterIdleMs: 0 };

export interface Placement {
  readonly functionId: Id<"function">;
  readonly workerId: Id<"worker">;
  /** The card type to use; undefined without GPUs. */
  readonly gpuType: string | undefined;
}

export interface Stop {
  readonly containerId: Id<"container">;
  /** `surplus`: idle beyond the window; `makeRoom`: idle, and another function's inputs wait for its place. */
  readonly reason: "surplus" | "makeRoom";
}

/**
 * `neverFits`: no worker of this cluster, empty, could take it. `noRoom`: one could, once something ends. `startsInProgress`: there is room, but the
 * machines are busy with other starts. `noWorkers`: nothing is connected.
 */
export type UnplacedReason = "neverFits" | "noRoom" | "startsInProgress" | "noWorkers";

export interface Unplaced {
  readonly functionId: Id<"function">;
  readonly containers: number;
  readonly reason: UnplacedReason;
  /** A sentence for people, without the function's name. */
  readonly text: string;
}

export interface PlacementPlan {
  readonly place: readonly Placement[];
  readonly stop: readonly Stop[];
  readonly unplaced: readonly Unplaced[];
}
