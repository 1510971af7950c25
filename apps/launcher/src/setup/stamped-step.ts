import { createHash } from "node:crypto";
import { existsSync, globSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { repository } from "../paths.ts";
import { say, seconds } from "../say.ts";

/** One step of set-up: done again only when one of its inputs changed or its result is gone. */
export interface SetupStep {
  /** Names the stamp. */
  readonly name: string;
  /** What is made, for the progress line. */
  readonly title: string;
  /** Patterns of files, relative to the repository: everything that the result depends on. */
  readonly inputs: readonly string[];
  /** Makes the result and answers the path that proves it. An interrupted run may simply run again. */
  readonly run: () => Promise<string>;
}

const stamps = join(repository, ".squall/setup");

/** The result of a step that is current, or undefined. `salt` distinguishes results for different caches. */
export function currentResult(step: SetupStep, salt: string): string | undefined {
  try {
    const stamp: { hash: string; result: string } = JSON.parse(readFileSync(join(stamps, step.name), "utf8"));
    return stamp.hash === inputHash(step, salt) && existsSync(stamp.result) ? stamp.result : undefined;
  } catch {
    return undefined; // no stamp, or half of one
  }
}

/** Runs a step, with a line before and after, and stamps its result. */
export async function runStep(step: SetupStep, salt: string, position: string): Promise<string> {
  const startedAt = performance.now();
  const hash = inputHash(step, salt);
  say(`[${position}] ${step.title}`);
  const result = await step.run();
  mkdirSync(stamps, { recursive: true });
  const aside = join(stamps, `.${step.name}.${process.pid}`);
  writeFileSync(aside, JSON.stringify({ hash, result }));
  renameSync(aside, join(stamps, step.name));
  say(`[${position}] done in ${seconds(performance.now() - startedAt)}`);
  return result;
}

function inputHash(step: SetupStep, salt: string): string {
  const hash = createHash("sha256").update(salt);
  for (const path of step.inputs.flatMap((pattern) => globSync(pattern, { cwd: repository })).sort())
    hash.update(`\0${path}\0`).update(readFileSync(join(repository, path)));
  return hash.digest("hex");
}
