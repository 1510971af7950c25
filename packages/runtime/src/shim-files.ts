import { readFileSync } from "node:fs";

/** started.json of the shim: the container's pid 1 and the shim itself, each named for ever by pid and start time. */
export interface StartedRecord {
  readonly pid: number;
  readonly startTicks: string;
  readonly shimPid: number;
  readonly shimStartTicks: string;
  readonly startedAtMs: number;
}

/** How a container ended. `code` is its exit status, 128 + n after signal n; `signal` is set when pid 1 itself was killed, else 0. */
export interface ExitRecord {
  readonly code: number;
  readonly signal: number;
  /** How many of its processes the kernel killed for memory; the main one need not be among them. */
  readonly oomKills: number;
  readonly cpuNs: number;
  readonly peakMemoryBytes: number;
  readonly exitedAtMs: number;
}

/** exit.json of the shim: an end, or why the container never ran. */
export type ExitFile = ({ readonly kind: "exited" } & ExitRecord) | { readonly kind: "failed"; readonly message: string };

/** Reads started.json; undefined when the shim has not written it. */
export function readStarted(file: string): StartedRecord | undefined {
  const record = readJson(file);
  if (!record) return undefined;
  return {
    pid: number(record, "pid"),
    startTicks: String(number(record, "startTicks")),
    shimPid: number(record, "shimPid"),
    shimStartTicks: String(number(record, "shimStartTicks")),
    startedAtMs: number(record, "startedAtMs"),
  };
}

/** Reads exit.json; undefined while the container runs. */
export function readExit(file: string): ExitFile | undefined {
  const record = readJson(file);
  if (!record) return undefined;
  if (typeof record.failed === "string") return { kind: "failed", message: record.failed };
  return {
    kind: "exited",
    code: number(record, "code"),
    signal: number(record, "signal"),
    oomKills: number(record, "oomKills"),
    cpuNs: number(record, "cpuNs"),
    peakMemoryBytes: number(record, "peakMemoryBytes"),
    exitedAtMs: number(record, "exitedAtMs"),
  };
}

/** A JSON object from a file that is always written whole; undefined when there is no file. */
export function readJson(file: string): Record<string, unknown> | undefined {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
  const value: unknown = JSON.parse(text);
  if (!isRecord(value)) throw new Error(`${file} is not a JSON object`);
  return value;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A required number of a record. */
export function number(record: Record<string, unknown>, key: string): number {
  const value = record[key];
  if (typeof value !== "number") throw new Error(`${key} is missing`);
  return value;
}
