/** `node bench/run.ts NAME`: runs bench/NAME/main.ts and prints its rows, as text to standard error and as one JSON object in the last line. */
import { type Benchmark, machine, type Row } from "./src/report.ts";

const name = process.argv[2] ?? "";
if (!/^[a-z-]+$/.test(name)) throw new Error("usage: node bench/run.ts NAME");
const { benchmark } = await importBenchmark(name);
const say = (line: string) => void process.stderr.write(`${line}\n`);
const startedOn = machine();
const results = await benchmark.run(say);
for (const row of results) say(describe(row));
process.stdout.write(`${JSON.stringify({ bench: name, machine: startedOn, results })}\n`);

/** Every main.ts of a benchmark exports `benchmark`: a promise of this folder that the type checker cannot see through a name. */
async function importBenchmark(folder: string): Promise<{ benchmark: Benchmark }> {
  return (await import(`./${folder}/main.ts`)) as { benchmark: Benchmark };
}

function describe({ metric, case: name_, ours, peer, theirs, ratio, min, max, rounds, reason }: Row): string {
  const beside = peer === null ? `no peer: ${reason ?? ""}` : `${peer} ${theirs}, ratio ${ratio} (${min} to ${max})`;
  return `${metric}, ${name_}: ours ${ours}, ${beside}, ${rounds} rounds`;
}
