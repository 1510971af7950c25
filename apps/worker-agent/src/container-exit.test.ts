import { ExitReason } from "@squall/protocol/agent";
import { describe, expect, test } from "vitest";
import { describeExit, type EndOfContainer } from "./container-exit.ts";

const exited = (code: number, oomKills = 0) => ({ kind: "exited" as const, code, oomKills, cpuNs: 1, peakMemoryBytes: 1, exitedAtMs: 5 });
const described = (part: Partial<EndOfContainer>) =>
  describeExit({
    end: exited(0),
    killReason: undefined,
    isStopping: false,
    stopReason: "",
    limits: { memoryBytes: 128 << 20, startupTimeoutMs: 300_000 },
    nowMs: 9,
    ...part,
  });

describe("why a container ended", () => {
  test("memory is named only when the kernel killed the command itself for it", () => {
    expect(described({ end: exited(137, 1) })).toMatchObject({
      reason: ExitReason.OUT_OF_MEMORY,
      message: "the container ran out of memory: its limit is 128 MiB",
      oomKills: 1n,
    });
    expect(described({ end: exited(1, 1) })).toMatchObject({ reason: ExitReason.EXITED, code: 1, oomKills: 1n });
    expect(described({ end: exited(137, 0) })).toMatchObject({ reason: ExitReason.EXITED, code: 137 });
  });

  test("what the agent did to it comes before what it looks like", () => {
    expect(described({ end: exited(137, 1), killReason: "inputTimeout" }).reason).toBe(ExitReason.INPUT_TIMEOUT);
    expect(described({ end: exited(137), killReason: "startupTimeout" })).toMatchObject({
      reason: ExitReason.STARTUP_TIMEOUT,
      message: expect.stringContaining("300 s"),
    });
    expect(described({ end: exited(137), killReason: "stopped", stopReason: "the app was stopped" })).toMatchObject({
      reason: ExitReason.STOPPED,
      message: "the app was stopped",
    });
    expect(described({ end: { kind: "lost" }, killReason: "stopped" }).reason).toBe(ExitReason.STOPPED);
  });

  test("an end that was asked for is no crash, a lost one is", () => {
    expect(described({ isStopping: true, stopReason: "scaled down" })).toMatchObject({ reason: ExitReason.STOPPED, message: "scaled down" });
    expect(described({ end: { kind: "lost" } })).toMatchObject({ reason: ExitReason.LOST, exitedAtMs: 9n });
    expect(described({ end: exited(7) })).toMatchObject({ reason: ExitReason.EXITED, code: 7, message: "container exited with code 7", exitedAtMs: 5n });
  });
});
