import { createHash } from "node:crypto";
import { existsSync, globSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { repository } from "../paths.ts";
import { say, seconds } from "../say.ts";

/** One step of set-up: done again only when one of its inputs changed or its result is gone. */
export interface SetupStep {
  /** Names the stamp. */
  readonly name: string;
  /** What is made, for the progress line. */
  readonly title: string;
  /** Patterns of files, relative to the root of the clone: everything that the result depends on. */
  readonly inputs: readonly string[];
  /** Makes the result and answers the path that proves it. An interrupted run may simply run again. */
  readonly run: () => Promise<string>;
}

/** The result of a step that is current, or undefined. `salt` distinguishes results for different caches. */
export function currentResult(step: SetupStep, salt: string, root = repository): string | undefined {
  try {
    const stamp: { hash: string; result: string } = JSON.parse(readFileSync(stampOf(step, root), "utf8"));
    return stamp.hash === inputHash(step, salt, root) && existsSync(stamp.result) ? stamp.result : undefined;
  } catch {
    return undefined; // no stamp, or half of one
  }
}

/** Runs a step, with a line before and after, and stamps its result. */
export async function runStep(step: SetupStep, salt: string, position: string, root = repository): Promise<string> {
  const startedAt = performance.now();
  const hash = inputHash(step, salt, root);
  say(`[${position}] ${step.title}`);
  const result = await step.run();
  mkdirSync(dirname(stampOf(step, root)), { recursive: true });
  const aside = `${stampOf(step, root)}.${process.pid}`;
  writeFileSync(aside, JSON.stringify({ hash, result }));
  renameSync(aside, stampOf(step, root));
  say(`[${position}] done in ${seconds(performance.now() - startedAt)}`);
  return result;
}

function stampOf(step: SetupStep, root: string): string {
  return join(root, ".squall/setup", step.name);
}

function inputHash(step: SetupStep, salt: string, root: string): string {
  const hash = createHash("sha256").update(salt);
  const paths = step.inputs.flatMap((pattern) => globSync(pattern, { cwd: root })).sort();
  for (const path of paths) hash.update(`\0${path}\0`).update(readFileSync(join(root, path)));
  return hash.digest("hex");
}
