/**
 * What a restarted agent must know of a container that lives on: `state.json` in the container's folder, replaced whole, and `inputs`, to which a line is
 * appended for every input handed out (`+`) and answered (`-`), and which is written anew now and then. No secrets: the environment is not in it.
 */
import { appendFileSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { AttemptSchema } from "@squall/protocol/agent";
import { z } from "zod";
import type { RunningInput } from "./container-gateway/input-broker.ts";

const stateSchema = z.object({
  version: z.literal(1),
  containerId: z.string(),
  generation: z.string(),
  memoryBytes: z.string(),
  milliCpu: z.number(),
  gpuType: z.string(),
  gpuCount: z.number(),
  gpuUuids: z.array(z.string()),
  inputTimeoutMs: z.string(),
  startupTimeoutMs: z.number(),
  stopGraceMs: z.number(),
  maxConcurrentInputs: z.number(),
  startedAtMs: z.number(),
  hasAskedForInputs: z.boolean(),
  meter: z.object({ nextSeq: z.number(), sinceMs: z.number(), cpuNs: z.number() }),
});

export type ContainerState = z.infer<typeof stateSchema>;

const stateFile = "state.json";
const inputsFile = "inputs";

export async function writeState(dir: string, state: ContainerState): Promise<void> {
  const temporary = join(dir, `${stateFile}.tmp`);
  await writeFile(temporary, JSON.stringify(state), { mode: 0o600 });
  await rename(temporary, join(dir, stateFile));
}

/** Undefined when the container never got as far as a state, or it is not one that this version reads. */
export async function readState(dir: string): Promise<ContainerState | undefined> {
  const text = await readFile(join(dir, stateFile), "utf8").catch(() => undefined);
  const parsed = stateSchema.safeParse(text === undefined ? undefined : parseJson(text));
  return parsed.success ? parsed.data : undefined;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Synchronous and not flushed to disk: it must survive the agent, not the machine (no container survives that). */
export function noteDelivered(dir: string, inputs: readonly RunningInput[]): void {
  appendFileSync(join(dir, inputsFile), linesOf(inputs), { mode: 0o600 });
}

/** Drops the lines of what was answered: without it the file would grow with every input of a container's life. `held`: all that are handed out now. */
export function rewriteHeldInputs(dir: string, held: readonly RunningInput[]): void {
  const temporary = join(dir, `${inputsFile}.tmp`);
  writeFileSync(temporary, linesOf(held), { mode: 0o600 });
  renameSync(temporary, join(dir, inputsFile));
}

function linesOf(inputs: readonly RunningInput[]): string {
  return inputs
    .map(({ attempt, functionCallId, retryCount }) => `+ ${attempt.inputId} ${attempt.epoch} ${attempt.counter} ${functionCallId} ${retryCount}\n`)
    .join("");
}

export function noteFinished(dir: string, inputId: string): void {
  appendFileSync(join(dir, inputsFile), `- ${inputId}\n`, { mode: 0o600 });
}

/** Inputs handed out and not answered. Their time-outs start anew at `nowMs` (monotonic): a late time-out is better than an early one. */
export function readHeldInputs(dir: string, nowMs: number): RunningInput[] {
  const held = new Map<string, RunningInput>();
  let text = "";
  try {
    text = readFileSync(join(dir, inputsFile), "utf8");
  } catch {
    return []; // none was handed out yet
  }
  for (const line of text.split("\n")) {
    const [sign, inputId = "", epoch, counter, functionCallId = "", retryCount] = line.split(" ");
    if (sign === "-") held.delete(inputId);
    if (sign !== "+" || !/^\d+$/.test(epoch ?? "") || !/^\d+$/.test(counter ?? "")) continue;
    const attempt = create(AttemptSchema, { inputId, epoch: BigInt(epoch ?? 0), counter: BigInt(counter ?? 0) });
    held.set(inputId, { attempt, inputId, functionCallId, retryCount: Number(retryCount), deliveredAtMs: nowMs });
  }
  return [...held.values()];
}
