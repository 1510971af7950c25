/** Why a container ended, in a reason that the control plane decides by and a sentence for people. Pure. */
import { type Exit, ExitReason } from "@squall/protocol/agent";
import type { ContainerEnd } from "./runtime-port.ts";

export interface EndOfContainer {
  readonly end: ContainerEnd;
  /** Set when the agent killed it. */
  readonly killReason: "stopped" | "inputTimeout" | "cancelled" | "startupTimeout" | undefined;
  /** It was asked to end (kill switch, SIGINT). */
  readonly isStopping: boolean;
  readonly stopReason: string;
  readonly limits: { readonly memoryBytes: number; readonly startupTimeoutMs: number };
  readonly nowMs: number;
}

const killedCode = 137; // 128 + SIGKILL

export function describeExit({ end, killReason, isStopping, stopReason, limits, nowMs }: EndOfContainer): Omit<Exit, "$typeName" | "$unknown"> {
  const code = end.kind === "exited" ? end.code : 0;
  const base = {
    code,
    exitedAtMs: BigInt(Math.round(end.kind === "exited" ? end.exitedAtMs : nowMs)),
    oomKills: BigInt(end.kind === "exited" ? end.oomKills : 0),
  };
  if (killReason === "inputTimeout") return { ...base, reason: ExitReason.INPUT_TIMEOUT, message: "an input took longer than its time-out" };
  if (killReason === "startupTimeout") {
    return { ...base, reason: ExitReason.STARTUP_TIMEOUT, message: `the container was not ready for inputs within ${limits.startupTimeoutMs / 1000} s` };
  }
  if (killReason !== undefined) return { ...base, reason: ExitReason.STOPPED, message: stopReason || killReason };
  if (end.kind === "lost") return { ...base, reason: ExitReason.LOST, message: "no trace of the container is left on the worker" };
  if (end.code === killedCode && end.oomKills > 0) {
    const limit = Math.round(limits.memoryBytes / (1 << 20));
    return { ...base, reason: ExitReason.OUT_OF_MEMORY, message: `the container ran out of memory: its limit is ${limit} MiB` };
  }
  if (isStopping) return { ...base, reason: ExitReason.STOPPED, message: stopReason };
  return { ...base, reason: ExitReason.EXITED, message: `container exited with code ${end.code}` };
}
