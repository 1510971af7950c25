/** Messages of the agent protocol as plain values. Ids are checked here: a worker that sends another shape has a bug, and its Link ends. */
import { type Id, type IdKind, isId } from "@squall/core/ids";
import { GrpcError, statusCode } from "@squall/grpc/handler";
import {
  type Attempt,
  type ContainerReport,
  ContainerState,
  type Exit,
  ExitReason,
  type Inventory,
  type Output,
  OutputOrigin,
  type UsageSegment,
} from "@squall/protocol/agent";
import type { UsageReading } from "@squall/services/usage/record";
import type { WorkerDescription } from "@squall/services/worker/register";
import type { ArrivedOutput, AttemptKey, ContainerExit } from "./ports.ts";

export function idFrom<Kind extends IdKind>(kind: Kind, text: string): Id<Kind> {
  if (!isId(kind, text)) throw new GrpcError(statusCode.invalidArgument, `not the id of a ${kind}: ${JSON.stringify(text.slice(0, 64))}`);
  return text;
}

export function attemptFrom(attempt: Attempt | undefined): AttemptKey {
  if (attempt === undefined) throw new GrpcError(statusCode.invalidArgument, "an attempt is missing");
  return { inputId: idFrom("input", attempt.inputId), epoch: Number(attempt.epoch), counter: Number(attempt.counter) };
}

const maxDataFormat = 0x7fff; // the column's; the formats that there are end at 4

/** A container says these numbers: one that the database refuses would leave its input without an end. */
function storableMs(atMs: bigint): number {
  const value = Number(atMs);
  return Number.isSafeInteger(value) ? value : 0;
}

export function outputFrom(output: Output): ArrivedOutput {
  return {
    containerId: idFrom("container", output.containerId),
    attempt: attemptFrom(output.attempt),
    result: output.result,
    dataFormat: output.dataFormat <= maxDataFormat ? output.dataFormat : 0,
    startedAtMs: storableMs(output.startedAtMs),
    createdAtMs: storableMs(output.createdAtMs),
    origin: output.origin === OutputOrigin.TIMEOUT ? "timeout" : output.origin === OutputOrigin.CONTAINER_LOST ? "containerLost" : "container",
  };
}

const exitReasons: Readonly<Record<ExitReason, ContainerExit["reason"]>> = {
  [ExitReason.UNSPECIFIED]: "exited",
  [ExitReason.EXITED]: "exited",
  [ExitReason.STOPPED]: "stopped",
  [ExitReason.OUT_OF_MEMORY]: "outOfMemory",
  [ExitReason.INPUT_TIMEOUT]: "inputTimeout",
  [ExitReason.STARTUP_TIMEOUT]: "startupTimeout",
  [ExitReason.START_FAILED]: "startFailed",
  [ExitReason.LOST]: "lost",
};

export function exitFrom(exit: Exit | undefined): ContainerExit {
  if (exit === undefined) return { reason: "lost", code: 0, message: "its worker did not say how it ended" };
  return { reason: exitReasons[exit.reason] ?? "exited", code: exit.code, message: exit.message };
}

/** The event of a report's state; undefined for an end, which has its own road. */
export function eventFrom({ state }: ContainerReport): "prepare" | "start" | "ready" | "stop" | undefined {
  switch (state) {
    case ContainerState.PREPARING:
      return "prepare";
    case ContainerState.STARTING:
      return "start";
    case ContainerState.READY:
      return "ready";
    case ContainerState.STOPPING:
      return "stop";
    case ContainerState.EXITED:
    case ContainerState.UNSPECIFIED:
      return undefined;
    default:
      return undefined; // a state of a newer agent
  }
}

export function describeWorker(inventory: Inventory | undefined): Pick<WorkerDescription, "milliCpu" | "memoryBytes" | "gpus" | "kernel" | "runtimes"> {
  return {
    milliCpu: inventory?.milliCpu ?? 0,
    memoryBytes: Number(inventory?.memoryBytes ?? 0n),
    gpus: (inventory?.gpus ?? []).map(({ type, count, fake }) => ({ type: type.toUpperCase(), count, isFake: fake })),
    kernel: inventory?.kernel ?? "",
    runtimes: inventory?.runtimes ?? [],
  };
}

export function readingFrom(segment: UsageSegment): UsageReading {
  return {
    containerId: segment.containerId,
    seq: Number(segment.seq),
    fromMs: Number(segment.fromMs),
    toMs: Number(segment.toMs),
    cpuNs: Number(segment.cpuNs),
    peakMemoryBytes: Number(segment.peakMemoryBytes),
    milliCpu: segment.milliCpu,
    memoryBytes: Number(segment.memoryBytes),
    gpuType: segment.gpuType === "" ? undefined : segment.gpuType,
    gpuCount: segment.gpuCount,
  };
}
