import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { repository } from "../paths.ts";
import { runCommand } from "./run-command.ts";
import { type Tally, tallyVitest } from "./tally.ts";

export interface VitestRun {
  readonly project: "unit" | "e2e";
  /** Only files whose path contains one of these; all when empty. */
  readonly filters: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
}

/** Runs one Vitest project, showing its output, and counts its tests. */
export async function runVitest({ project, filters, env, timeoutMs }: VitestRun): Promise<Tally> {
  const folder = mkdtempSync(join(tmpdir(), "squall-vitest-"));
  const report = join(folder, "report.json");
  const program = join(repository, "node_modules/vitest/vitest.mjs");
  const args = ["run", "--project", project, "--reporter=default", "--reporter=json", `--outputFile.json=${report}`, "--passWithNoTests", ...filters];
  try {
    const { code } = await runCommand([process.execPath, program, ...args], { env, isShown: true, timeoutMs });
    return tallyVitest(readReport(report), code);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function readReport(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return undefined; // the runner crashed before it wrote one: counted as a failure
  }
}
