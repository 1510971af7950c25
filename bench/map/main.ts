/** A map of tiny inputs by the published client, over two containers: ours beside a control server that answers at once from memory. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { modalRunFile } from "@squall/e2e/modal-cli";
import { type ReadyLine, startStack } from "@squall/e2e/stack";
import { alone, type Benchmark, median, type Round, summarise } from "../src/report.ts";
import { startControl } from "./control-server.ts";

const rounds = 5;
const inputs = 1_000;
const runsPerRound = 2;

export const benchmark: Benchmark = {
  run: async (say) => {
    const stack = await startStack();
    try {
      const rates: Round[] = [];
      const cpuMs: number[] = [];
      for (let round = 1; round <= rounds; round++) {
        const before = await cpuMsOf(stack);
        const ours = median(await ratesOf(stack));
        cpuMs.push(((await cpuMsOf(stack)) - before) / (inputs * runsPerRound));
        const theirs = median(await controlRates());
        rates.push({ ours, theirs });
        say(
          `map: round ${round} of ${rounds}: ours ${ours.toFixed(0)} inputs/s, control ${theirs.toFixed(0)}, api + agent ${cpuMs.at(-1)?.toFixed(2)} ms CPU per input`,
        );
      }
      return [
        summarise({ metric: "inputs_per_s", case: "modal client", peer: "control server in memory", better: "higher" }, rates),
        alone({ metric: "cpu_ms_per_input", case: "api + agent" }, cpuMs, "the control keeps nothing and has no agent"),
      ];
    } finally {
      await stack.stop();
    }
  },
};

async function controlRates(): Promise<number[]> {
  const control = await startControl({ python: process.env["SQUALL_CLIENT_PYTHON"] ?? "python3", containers: 2 });
  try {
    return await ratesOf({ server_url: control.url, token_id: "ak-control", token_secret: "as-control" });
  } finally {
    await control.stop();
  }
}

async function ratesOf(server: Pick<ReadyLine, "server_url" | "token_id" | "token_secret">): Promise<number[]> {
  const output = await modalRunFile(server, join(import.meta.dirname, "app.py"), ["--inputs", String(inputs), "--rounds", String(runsPerRound)]);
  const found = [...output.matchAll(/^RATE ([\d.]+)$/gm)].map(([, rate]) => Number(rate));
  if (found.length !== runsPerRound) throw new Error(`no rates in the output:\n${output}`);
  return found;
}

/** CPU that api and agent have used since they started (user and system, in milliseconds; 100 ticks a second). */
async function cpuMsOf({ processes }: ReadyLine): Promise<number> {
  const pids = [processes["api"], processes["agent"]].filter((pid) => pid !== undefined);
  const used = await Promise.all(
    pids.map(async (pid) => {
      const fields = (await readFile(`/proc/${pid}/stat`, "utf8")).split(") ")[1]?.split(" ") ?? [];
      return (Number(fields[11]) + Number(fields[12])) * 10;
    }),
  );
  return used.reduce((sum, ms) => sum + ms, 0);
}
