import { execFile } from "node:child_process";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { buildNative, initProgram } from "@squall/native/build";
import { afterAll, describe, expect, test } from "vitest";

// Containers are made and killed in a cell: mount, PID and network namespaces of its own, so that a mistake of the code under test can hurt nobody else.
// Every inner test is shown here under its own name.

const run = promisify(execFile);
const cellDir = path.join(import.meta.dirname, "cell");
const home = mkdtempSync(path.join(tmpdir(), "squall-cell-"));
chmodSync(home, 0o711); // the ids of containers walk through it
const nativePath = await buildNative({ cacheDir: process.env["SQUALL_CACHE"] ?? "/var/cache/squall" });
const countCgroups = () => readdirSync("/sys/fs/cgroup/").flatMap((name) => cgroupsBelow(`/sys/fs/cgroup/${name}`));

interface InnerTest {
  readonly file: string;
  readonly name: string;
  readonly failure: string | undefined;
}

for (const runtimeName of ["crun", "runc"] as const) {
  const results = await runInCell(runtimeName);
  describe(`in a cell, with ${runtimeName}`, () => {
    for (const { file, name, failure } of results) {
      test(`${file}: ${name}`, () => {
        expect(failure).toBeUndefined();
      });
    }
    test("the cell ran its tests and left no cgroup behind", () => {
      expect(results.length).toBeGreaterThan(10);
      expect(countCgroups().filter((name) => name.startsWith("sq-cell"))).toEqual([]);
    });
  });
}

afterAll(() => rmSync(home, { recursive: true, force: true }));

async function runInCell(runtimeName: string): Promise<InnerTest[]> {
  const report = path.join(home, `${runtimeName}.json`);
  const vitest = path.join(import.meta.dirname, "../../../node_modules/vitest/vitest.mjs");
  const inner = [
    process.execPath,
    vitest,
    "run",
    "--root",
    cellDir,
    "--config",
    path.join(cellDir, "vitest.config.ts"),
    "--reporter=json",
    `--outputFile=${report}`,
  ];
  const cell = ["-m", "-n", "-p", "-f", "--mount-proc", "--kill-child", nativePath, "agent-cage", "--", initProgram(nativePath), ...inner];
  const env = { PATH: process.env["PATH"], CELL_NATIVE: nativePath, CELL_RUNTIME: runtimeName, CELL_HOME: path.join(home, runtimeName) };
  const { stdout, stderr } = await run("unshare", cell, { env, timeout: 240_000, killSignal: "SIGKILL", maxBuffer: 64 << 20 }).catch(
    (error: { stdout?: string; stderr?: string }) => ({ stdout: error.stdout ?? "", stderr: error.stderr ?? String(error) }),
  );
  return parseReport(report, `${stdout}\n${stderr}`);
}

/** Vitest's JSON report has this shape; when there is none, the cell itself failed, which is shown as a failed test. */
function parseReport(file: string, output: string): InnerTest[] {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch {
    return [{ file: "cell", name: "runs", failure: output }];
  }
  const report = JSON.parse(text) as {
    testResults: { name: string; message: string; assertionResults: { fullName: string; status: string; failureMessages: string[] }[] }[];
  };
  return report.testResults.flatMap(({ name, message, assertionResults }) => {
    const file = path.basename(name, ".cell.ts");
    if (assertionResults.length === 0) return [{ file, name: "loads", failure: message || output }];
    return assertionResults.map((each) => ({
      file,
      name: each.fullName,
      failure: each.status === "passed" ? undefined : each.failureMessages.join("\n") || each.status,
    }));
  });
}

function cgroupsBelow(dir: string): string[] {
  return readdirSync(dir, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);
}
