/** Turns the output of the base recipe into a line with numbers. Pure. */

export interface Progress {
  readonly startedAtMs: number;
  /** What the recipe is doing, as it announced it. */
  readonly title: string;
  readonly stepNumber: number;
  readonly downloadedPackages: number;
  readonly configuredPackages: number;
}

const stepCount = 5;

export function startProgress(startedAtMs: number): Progress {
  return { startedAtMs, title: "starting", stepNumber: 1, downloadedPackages: 0, configuredPackages: 0 };
}

/** Reads one line of the recipe's output. */
export function step(progress: Progress, line: string): Progress {
  const announced = /^squall-step (\d+) (.*)$/.exec(line);
  if (announced) return { ...progress, stepNumber: Math.min(Number(announced[1]), stepCount), title: announced[2] ?? "" };
  if (/^Get:\d+ .* \[[\d.,]+ \wB\]$/.test(line) && !/(InRelease|Packages)/.test(line))
    return { ...progress, downloadedPackages: progress.downloadedPackages + 1 };
  if (line.startsWith("Setting up ")) return { ...progress, configuredPackages: progress.configuredPackages + 1 };
  return progress;
}

export function describeProgress(progress: Progress, nowMs: number): string {
  const { title, stepNumber, downloadedPackages, configuredPackages } = progress;
  const packages = downloadedPackages > 0 ? `, ${downloadedPackages} packages fetched, ${configuredPackages} set up` : "";
  return `base image: step ${stepNumber} of ${stepCount}, ${title}${packages}, ${Math.round((nowMs - progress.startedAtMs) / 1000)} s`;
}
