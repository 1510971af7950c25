/** One schedule: callers, machines and a control plane under faults for a while, then peace; everything accepted must come out, once. */
import { asId } from "@squall/core/ids";
import { maxFailedStarts } from "../containers.ts";
import { maxLosses } from "../inputs.ts";
import type { PlantedBug } from "../planted-bug.ts";
import { SimApi } from "./api.ts";
import { SimClient } from "./client.ts";
import { SimDatabase } from "./database.ts";
import { type SimFunction, simFunctions } from "./functions.ts";
import { SimWorker } from "./worker.ts";
import { World } from "./world.ts";

export interface ScheduleReport {
  readonly violations: readonly string[];
  readonly counters: World["counters"];
}

const healAtMs = 12_000;
const endAtMs = 120_000; // far beyond every lease, back-off and grace

export function runSchedule(seed: number, plantedBug?: PlantedBug): ScheduleReport {
  const world = new World(seed, healAtMs);
  const database = new SimDatabase(world, plantedBug);
  const functions = simFunctions(world);
  const workers: SimWorker[] = [];
  let api: SimApi | undefined;
  const boot = (): void => {
    api = new SimApi({ world, database, functions, allWorkers: () => workers, plantedBug });
  };
  boot();
  for (let n = 1; n <= 3; n++) workers.push(new SimWorker(world, asId("worker", `wo-${String(n).padStart(22, "0")}`), () => api));
  const clients = callers(world, functions, () => api);
  const killApi = (): void => {
    if (api === undefined) return;
    world.counters.apiKills++;
    api.kill();
    api = undefined;
    world.after(world.between(20, 1500), boot);
  };
  faults(world, workers, killApi);
  world.run(endAtMs, () => world.isHealed && api !== undefined && clients.every((client) => client.isDone));
  check(world, database, clients);
  return { violations: world.violations, counters: world.counters };
}

function callers(world: World, functions: readonly SimFunction[], api: () => SimApi | undefined): SimClient[] {
  const count = world.between(4, 12);
  return Array.from({ length: count }, (_, n) => {
    const fn = world.pick(functions) ?? functions[0];
    if (fn === undefined) throw new Error("no functions");
    return new SimClient({ world, api, fn, name: `c${n}`, inputCount: world.chance(50) ? 1 : world.between(2, 30) });
  });
}

function faults(world: World, workers: readonly SimWorker[], killApi: () => void): void {
  const next = (): void => {
    world.after(world.between(20, 700), () => {
      if (world.isHealed) return;
      const worker = world.pick(workers);
      const dice = world.random.int(100);
      if (dice < 18) killApi();
      else if (dice < 24) {
        world.counters.workerDeaths++;
        worker?.die();
      } else if (dice < 36) {
        world.counters.freezes++;
        worker?.freeze(world.between(100, 6000));
      } else if (dice < 66) {
        world.counters.linkBreaks++;
        worker?.breakLink();
      } else {
        world.counters.containerCrashes++;
        worker?.crashContainer();
      }
      next();
    });
  };
  next();
}

function check(world: World, database: SimDatabase, clients: readonly SimClient[]): void {
  for (const client of clients) {
    if (!client.isDone) world.violate(`stuck: ${client.results.size} of ${client.inputCount} results of ${client.callId ?? "a call never accepted"}`);
    if (client.callId !== undefined && !database.calls.has(client.callId)) world.violate(`lost: accepted call ${client.callId} is not stored`);
  }
  for (const input of database.inputs.values()) {
    const output = database.outputs.get(input.inputId);
    const attempts = database.attemptsOf(input.inputId);
    const call = database.calls.get(input.callId);
    const policy = call?.policy;
    const failures = attempts.filter((row) => row.outcome !== "lost").length;
    const losses = attempts.length - failures;
    if (output === undefined) {
      world.violate(`lost: ${input.inputId} has no output`);
      continue;
    }
    if (output.attempt !== undefined && attempts.some((row) => `${row.epoch}.${row.counter}` === output.attempt))
      world.violate(`${input.inputId}: the result of a superseded attempt stands`);
    if (policy !== undefined && failures > policy.retry.max) world.violate(`${input.inputId}: ${failures} user retries`);
    if (policy !== undefined && !call?.isCancelled && output.kind === "failure" && failures < policy.retry.max)
      world.violate(`${input.inputId}: failed after ${failures} of ${policy.retry.max} retries`);
    if (losses > maxLosses + 1) world.violate(`${input.inputId}: redelivered ${losses} times`);
  }
  boundedCrashLoops(world, database);
}

function boundedCrashLoops(world: World, database: SimDatabase): void {
  const broken = [...database.outputs.values()].filter((row) => row.kind === "initFailure").length;
  const starts = [...database.containers.values()].filter((row) => row.functionId.endsWith("4")).length;
  // Every batch of waiting inputs may cost a round of starts, and lost workers and restarts of the api may repeat one.
  const bound =
    (broken + 1) * (maxFailedStarts + 4) + 8 * (world.counters.apiKills + world.counters.workerDeaths + world.counters.freezes + world.counters.linkBreaks);
  if (starts > bound) world.violate(`crash loop: ${starts} starts for ${broken} inputs`);
}
