/** Counts of one part of `./squall test`. A runner that crashed counts as one failure, so that silence never passes. */
export interface Tally {
  readonly passed: number;
  readonly failed: number;
}

export const none: Tally = { passed: 0, failed: 0 };

export function sum(tallies: readonly Tally[]): Tally {
  return tallies.reduce((total, { passed, failed }) => ({ passed: total.passed + passed, failed: total.failed + failed }), none);
}

/** What Vitest's JSON report says; `exitCode` and a missing or empty report tell of a crash. Skipped and todo tests count as neither. */
export function tallyVitest(report: unknown, exitCode: number | null): Tally {
  const { numPassedTests, numFailedTests, testResults } = asReport(report);
  if (numPassedTests === undefined || numFailedTests === undefined) return { passed: 0, failed: 1 };
  // A file that failed to load has no test of its own to blame.
  const failedFiles = (testResults ?? []).filter(
    ({ status, assertionResults }) => status === "failed" && !assertionResults?.some((test) => test.status === "failed"),
  ).length;
  const failed = numFailedTests + failedFiles;
  const crashed = failed === 0 && exitCode !== 0;
  return { passed: numPassedTests, failed: failed + (crashed ? 1 : 0) };
}

interface VitestReport {
  readonly numPassedTests?: number;
  readonly numFailedTests?: number;
  readonly testResults?: readonly { readonly status?: string; readonly assertionResults?: readonly { readonly status?: string }[] }[];
}

/** The report is a file that another program wrote: every field may be missing, and its absence counts as a crash. */
function asReport(value: unknown): VitestReport {
  return typeof value === "object" && value !== null ? value : {};
}
