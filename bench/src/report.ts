/** What every benchmark prints: rows of ours beside a peer measured in the same run. */

import { readFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";

export interface Row {
  readonly metric: string;
  readonly case: string;
  readonly ours: number;
  /** Null where no peer could be had; `reason` says why. */
  readonly peer: string | null;
  readonly theirs: number | null;
  /** ours / theirs, the median over the rounds. */
  readonly ratio: number | null;
  readonly min: number | null;
  readonly max: number | null;
  readonly rounds: number;
  /** Present for rates; costs are the default. */
  readonly better?: "higher";
  readonly reason?: string;
}

export interface Benchmark {
  /** Measures and returns its rows; may print progress to standard error. */
  readonly run: (say: (line: string) => void) => Promise<readonly Row[]>;
}

/** One round of a case: what we took and what the peer took, in the same unit. */
export interface Round {
  readonly ours: number;
  readonly theirs: number;
}

/** Sums up interleaved rounds: medians of both sides, and the median, least and greatest ratio of the rounds. */
export function summarise(
  what: { readonly metric: string; readonly case: string; readonly peer: string; readonly better?: "higher" },
  rounds: readonly Round[],
): Row {
  const ratios = rounds.map(({ ours, theirs }) => ours / theirs).sort((a, b) => a - b);
  return {
    ...what,
    ours: round(median(rounds.map(({ ours }) => ours))),
    theirs: round(median(rounds.map(({ theirs }) => theirs))),
    ratio: round(median(ratios)),
    min: round(ratios[0] ?? Number.NaN),
    max: round(ratios.at(-1) ?? Number.NaN),
    rounds: rounds.length,
  };
}

/** A row of ours alone, saying why nobody stands beside it. */
export function alone(what: { readonly metric: string; readonly case: string; readonly better?: "higher" }, ours: readonly number[], reason: string): Row {
  return { ...what, ours: round(median(ours)), peer: null, theirs: null, ratio: null, min: null, max: null, rounds: ours.length, reason };
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** The value below which `share` of the values lie (nearest rank); NaN of none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}

export function machine(): Record<string, string | number> {
  return {
    cpu: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    memory_mb: Math.round(totalmem() / 2 ** 20),
    kernel: readFileSync("/proc/sys/kernel/osrelease", "utf8").trim(),
    load_1m: Number(readFileSync("/proc/loadavg", "utf8").split(" ")[0]),
  };
}

function round(value: number): number {
  return Number(value.toPrecision(4));
}
