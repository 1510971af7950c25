import { say, seconds } from "../say.ts";
import { runCommand } from "./run-command.ts";
import type { Tally } from "./tally.ts";

/** The scripts of the root package.json that make up `pnpm check`, but for the unit tests. Each counts as one test. */
export const checks = ["format", "lint", "types", "boundaries", "unused"] as const;

const timeoutMs = 300_000;

/** Runs every check, also after one failed; the output of a failed one is shown. */
export async function runChecks(): Promise<Tally> {
  let passed = 0;
  for (const check of checks) {
    const startedAt = performance.now();
    const { code, output } = await runCommand(["pnpm", "--silent", "run", check], { isShown: false, timeoutMs });
    if (code === 0) passed += 1;
    else process.stderr.write(output);
    say(`check ${check}: ${code === 0 ? "passed" : "FAILED"} in ${seconds(performance.now() - startedAt)}`);
  }
  return { passed, failed: checks.length - passed };
}
