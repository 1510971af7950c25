/** Small views for tests. */
import { asId, type Id } from "@squall/core/ids";
import { defaultResources, mebibyte, type Resources } from "@squall/core/resources";
import type { AutoscalingPolicy, ContainerView, FunctionView, WorkerView } from "../src/view.ts";

const number = (n: number) => String(n).padStart(22, "0");
export const workerId = (n: number): Id<"worker"> => asId("worker", `wo-${number(n)}`);
export const functionId = (n: number): Id<"function"> => asId("function", `fu-${number(n)}`);
export const containerId = (n: number): Id<"container"> => asId("container", `ta-${number(n)}`);

export const usualScaling: AutoscalingPolicy = {
  minContainers: 0,
  maxContainers: undefined,
  bufferContainers: 0,
  scaledownWindowMs: 60_000,
  targetConcurrency: 1,
};

export function worker(n: number, overrides: Partial<WorkerView> = {}): WorkerView {
  return { workerId: workerId(n), isOpen: true, milliCpu: 2000, memoryBytes: 8192 * mebibyte, gpus: [], ...overrides };
}

export function functionView(
  n: number,
  overrides: Partial<Omit<FunctionView, "autoscaling">> & { autoscaling?: Partial<AutoscalingPolicy> } = {},
): FunctionView {
  const { autoscaling, ...rest } = overrides;
  return {
    functionId: functionId(n),
    resources: defaultResources,
    queuedInputs: 0,
    runningInputs: 0,
    oldestQueuedForMs: 0,
    containers: [],
    mayStart: true,
    autoscaling: { ...usualScaling, ...autoscaling },
    ...rest,
  };
}

export function container(n: number, overrides: Partial<ContainerView> = {}): ContainerView {
  return {
    containerId: containerId(n),
    workerId: workerId(1),
    resources: defaultResources,
    gpuType: undefined,
    phase: "ready",
    idleForMs: undefined,
    ...overrides,
  };
}

export function gpus(type: string, count: number): Resources {
  return { ...defaultResources, gpu: { type, count } };
}
