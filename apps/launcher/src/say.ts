/** One line for the person in front of the launcher. Always on standard error: standard output belongs to `--json` and results. */
export function say(text: string): void {
  process.stderr.write(`squall: ${text}\n`);
}

/** A fault of the caller or the machine, told without a stack trace. The process ends with `exitCode`. */
export class LauncherError extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;
}
