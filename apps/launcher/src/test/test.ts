import type { TestOptions } from "../arguments.ts";
import type { Paths } from "../paths.ts";
import { say, seconds } from "../say.ts";
import { setUp } from "../setup/setup.ts";
import { runChecks } from "./checks.ts";
import { startSharedStack } from "./shared-stack.ts";
import { none, sum, type Tally } from "./tally.ts";
import { runVitest } from "./vitest.ts";

const minuteMs = 60_000;

/** `./squall test`: checks, unit tests, end-to-end tests. The last line is "N passed, N failed"; answers 0 only when nothing failed. */
export async function test(paths: Paths, { long, only }: TestOptions): Promise<number> {
  const { nativePath } = await setUp(paths);
  const env = { SQUALL_CACHE: paths.cache, SQUALL_NATIVE: nativePath, ...(long ? { SQUALL_LONG: "1" } : {}) };
  const limitMs = (long ? 60 : 12) * minuteMs;
  const parts: Readonly<Record<string, (filters: readonly string[]) => Promise<Tally>>> = {
    check: runChecks,
    unit: (filters) => runVitest({ project: "unit", filters, env, timeoutMs: limitMs }),
    e2e: (filters) => runEndToEnd(filters, env, limitMs),
  };
  const tallies: Tally[] = [];
  for (const [name, filters] of choose(only)) {
    const startedAt = performance.now();
    const tally = await (parts[name]?.(filters) ?? Promise.resolve(none)).catch(crashed(name));
    say(`${name}: ${tally.passed} passed, ${tally.failed} failed in ${seconds(performance.now() - startedAt)}`);
    tallies.push(tally);
  }
  const { passed, failed } = sum(tallies);
  process.stdout.write(`${passed} passed, ${failed} failed\n`);
  return failed === 0 && passed > 0 ? 0 : 1;
}

/** Which parts to run, each with its file filters: all, one by its name, or the files whose path contains the word. */
function choose(only: string | undefined): readonly (readonly [string, readonly string[]])[] {
  if (only === undefined) return ["check", "unit", "e2e"].map((name) => [name, []] as const);
  if (["check", "unit", "e2e"].includes(only)) return [[only, []]];
  return only.startsWith("e2e") || only.startsWith("modal-client") ? [["e2e", [only]]] : [["unit", [only]]];
}

/** Starts the shared stack and counts its orderly end as one more test. */
async function runEndToEnd(filters: readonly string[], env: Readonly<Record<string, string>>, timeoutMs: number): Promise<Tally> {
  const stack = await startSharedStack();
  const tests = await runVitest({ project: "e2e", filters, env: { ...env, SQUALL_E2E_STACK: stack.readyLine }, timeoutMs });
  return sum([tests, await stack.stop().then(() => ({ passed: 1, failed: 0 }), crashed("stop of the stack"))]);
}

function crashed(what: string): (error: unknown) => Tally {
  return (error) => {
    say(`${what}: ${error instanceof Error ? error.message : String(error)}`);
    return { passed: 0, failed: 1 };
  };
}
