/** From the request of the published client to the result of a cold Python function, by phase; and twenty at once. */
import { join } from "node:path";
import { modalRunFile } from "@squall/e2e/modal-cli";
import { startStack } from "@squall/e2e/stack";
import { alone, quantile, type Row } from "../src/report.ts";

const rounds = 9;
const reason = "no peer runs the same client; the joined prototype needed 265 ms for one, 3.0 to 3.4 s for twenty, on 2 cores";

export async function coldCallRows(say: (line: string) => void): Promise<Row[]> {
  const stack = await startStack();
  const file = join(import.meta.dirname, "app.py");
  try {
    await modalRunFile(stack, `${file}::one`, []); // the first container of an image reads its files from disk
    const ones: Times[] = [];
    for (let round = 1; round <= rounds; round++) {
      ones.push(...times(await modalRunFile(stack, `${file}::one`, []), "ONE"));
      say(`start: cold call ${round} of ${rounds}: ${((ones.at(-1)?.wholeS ?? 0) * 1000).toFixed(0)} ms`);
    }
    const bursts: Times[][] = [];
    for (let round = 1; round <= 3; round++) {
      const burst = times(await modalRunFile(stack, `${file}::twenty`, []), "MANY");
      if (burst.length !== 20) throw new Error(`${burst.length} of 20 results`);
      bursts.push(burst);
      say(`start: twenty at once, ${round} of 3: the last began after ${(Math.max(...burst.map(({ toCodeS }) => toCodeS)) * 1000).toFixed(0)} ms`);
    }
    const ms = (values: readonly number[]) => values.map((value) => value * 1000);
    const toCode = bursts.map((burst) => burst.map(({ toCodeS }) => toCodeS));
    return [
      alone({ metric: "p50_ms", case: "cold Python function, request to output" }, ms(ones.map(({ wholeS }) => wholeS)), reason),
      alone({ metric: "p50_ms", case: "phase: request to process" }, ms(ones.map(({ toProcessS }) => toProcessS)), reason),
      alone({ metric: "p50_ms", case: "phase: process to user code" }, ms(ones.map(({ toCodeS, toProcessS }) => toCodeS - toProcessS)), reason),
      alone({ metric: "p50_ms", case: "phase: user code to output" }, ms(ones.map(({ wholeS, toCodeS }) => wholeS - toCodeS)), reason),
      alone({ metric: "cpu_ms", case: "one container, to user code" }, ms(ones.map(({ cpuS }) => cpuS)), reason),
      alone({ metric: "p50_ms", case: "20 at once, request to user code, median" }, ms(toCode.map((burst) => quantile(burst, 0.5))), reason),
      alone({ metric: "p50_ms", case: "20 at once, request to user code, last" }, ms(toCode.map((burst) => Math.max(...burst))), reason),
    ];
  } finally {
    await stack.stop();
  }
}

/** All in seconds since the request. */
interface Times {
  readonly toProcessS: number;
  readonly toCodeS: number;
  readonly wholeS: number;
  readonly cpuS: number;
}

function times(output: string, word: string): Times[] {
  return [...output.matchAll(new RegExp(`^${word} (.*)$`, "gm"))].map(([, text = ""]) => {
    const [asked = Number.NaN, process = Number.NaN, code = Number.NaN, done = Number.NaN, cpuS = Number.NaN] = text.split(" ").map(Number);
    return { toProcessS: process - asked, toCodeS: code - asked, wholeS: done - asked, cpuS };
  });
}
