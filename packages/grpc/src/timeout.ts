const unitMs: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };

/** Node's timers overflow beyond this and fire at once. */
export const maxTimerMs = 2 ** 31 - 1;

/** Milliseconds of a `grpc-timeout` header; undefined when absent or malformed. */
export function parseTimeout(header: string | undefined): number | undefined {
  const match = header === undefined ? null : /^(\d{1,8})([HMSmun])$/.exec(header);
  const unit = unitMs[match?.[2] ?? ""];
  return match && unit !== undefined ? Number(match[1]) * unit : undefined;
}

/** The `grpc-timeout` header for a positive number of milliseconds. At most eight digits: seconds when it is longer than a day. */
export function formatTimeout(timeoutMs: number): string {
  const wholeMs = Math.max(1, Math.ceil(timeoutMs));
  return wholeMs < 1e8 ? `${wholeMs}m` : `${Math.min(99_999_999, Math.ceil(wholeMs / 1000))}S`;
}
