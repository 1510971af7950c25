/** A hardened container, from the request to its command's first instruction, beside a plain `runc run`. */
import { execFile } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { buildNative, initProgram } from "@squall/native/build";
import { type Row, summarise } from "../src/report.ts";
import type { CellResult, Peer } from "./container-start-cell.ts";

const run = promisify(execFile);
const peers: Readonly<Record<Peer, string>> = {
  plain: "runc run (plain: no user namespace, no filter, no limits)",
  hardened: "runc run (hardened as ours: user namespace, our filter, our limits)",
};

/** Runs the measurement in a cell of private namespaces: both sides make mounts, cgroups and network devices. Needs root and runc. */
export async function containerStartRows(say: (line: string) => void): Promise<Row[]> {
  const home = mkdtempSync(join(tmpdir(), "squall-bench-"));
  chmodSync(home, 0o711); // containers' ids walk through it
  const native = await buildNative({ cacheDir: process.env["SQUALL_CACHE"] ?? "/var/cache/squall" });
  const program = [initProgram(native), process.execPath, join(import.meta.dirname, "container-start-cell.ts"), native, home];
  try {
    say("start: containers beside runc, a minute");
    const cell = ["-m", "-n", "-p", "-f", "--mount-proc", "--kill-child", native, "agent-cage", "--", ...program];
    const { stdout } = await run("unshare", cell, { timeout: 170_000, killSignal: "SIGKILL", maxBuffer: 16 << 20 });
    const { p50, perSecond } = parseResult(stdout);
    return [
      ...p50.map(({ parallel, peer, rounds }) =>
        summarise({ metric: "p50_ms", case: `vs runc run ${peer}, ${parallel} at once, request to user main`, peer: peers[peer] }, rounds),
      ),
      summarise(
        { metric: "containers_per_s", case: "vs runc run, 8 at a time, from request to all removed, pools refilled", peer: peers.plain, better: "higher" },
        perSecond,
      ),
    ];
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

/** The cell is our own program beside this one: its last line is a CellResult. */
function parseResult(output: string): CellResult {
  return JSON.parse(output.trim().split("\n").at(-1) ?? "") as CellResult;
}
