/** The backlog as the database has it, for a process that takes over the shard. */
import { asId, type Id } from "@squall/core/ids";
import type { LiveContainer, LoadedInput, SubmittedCall } from "@squall/dispatch/events";
import { readCalls } from "../function-call/call-info.ts";
import { type CallTarget, readCallTargets } from "../function-call/call-target.ts";
import { numberOf, optionalNumberOf, type Row, type Sql, textOf } from "../journal/sql.ts";

const inputsPerPage = 10_000;

export interface Backlog {
  readonly inputCount: number;
  readonly containers: readonly LiveContainer[];
  /** Apps that were stopped and still have inputs: the process before died between the two. */
  readonly stoppedApps: readonly Id<"app">[];
}

/** Hands over every unfinished input, after the call it belongs to, in pages. */
export async function loadUnfinished(
  sql: Sql,
  take: { readonly onCalls: (target: CallTarget, calls: readonly SubmittedCall[]) => void; readonly onInputs: (inputs: readonly LoadedInput[]) => void },
): Promise<Backlog> {
  const knownCalls = new Set<string>();
  const stoppedApps = new Set<Id<"app">>();
  let inputCount = 0;
  for await (const inputs of unfinishedInputs(sql)) {
    const callIds = [...new Set(inputs.map((input) => input.callId))].filter((callId) => !knownCalls.has(callId));
    for (const callId of callIds) knownCalls.add(callId);
    const calls = await readCalls(sql, callIds);
    const targets = await readCallTargets(sql, [...new Set(calls.map((call) => call.functionId))]);
    for (const target of targets) {
      const { functionId, appId } = target.policy;
      if (target.appState === "stopped" || target.appState === "stopping") stoppedApps.add(appId);
      take.onCalls(
        target,
        calls.filter((call) => call.functionId === functionId).map((call) => call.submitted),
      );
    }
    take.onInputs(inputs);
    inputCount += inputs.length;
  }
  return { inputCount, containers: await loadLiveContainers(sql), stoppedApps: [...stoppedApps] };
}

/** Pages of unfinished inputs, by function and id, so that the partial index serves them and history costs nothing. */
async function* unfinishedInputs(sql: Sql): AsyncGenerator<LoadedInput[]> {
  let last = ["", ""];
  for (;;) {
    const { rows } = await sql.query({
      text: `SELECT i.id, i.function_call_id, i.function_id, i.idx, i.retry_count, i.created_at_ms, a.failures, a.losses, a.epoch, a.counter
             FROM (SELECT * FROM input WHERE status = 0 AND (function_id, id) > ($1, $2) ORDER BY function_id, id LIMIT $3) i
             LEFT JOIN LATERAL (
               SELECT count(*) FILTER (WHERE outcome <> 'lost') AS failures, count(*) FILTER (WHERE outcome = 'lost') AS losses,
                 (array_agg(epoch ORDER BY epoch DESC, counter DESC))[1] AS epoch, (array_agg(counter ORDER BY epoch DESC, counter DESC))[1] AS counter
               FROM attempt WHERE i.retry_count > 0 AND input_id = i.id) a ON true
             ORDER BY i.function_id, i.id`,
      values: [...last, inputsPerPage],
    });
    if (rows.length > 0) yield rows.map(loadedInput);
    const end = rows.at(-1);
    if (end === undefined || rows.length < inputsPerPage) return;
    last = [textOf(end, "function_id"), textOf(end, "id")];
  }
}

function loadedInput(row: Row): LoadedInput {
  const epoch = optionalNumberOf(row, "epoch");
  const counter = optionalNumberOf(row, "counter");
  return {
    inputId: asId("input", textOf(row, "id")),
    callId: asId("functionCall", textOf(row, "function_call_id")),
    idx: numberOf(row, "idx"),
    createdAtMs: numberOf(row, "created_at_ms"),
    retryCount: numberOf(row, "retry_count"),
    failures: numberOf(row, "failures"),
    losses: numberOf(row, "losses"),
    lastEnded: epoch === undefined || counter === undefined ? undefined : { epoch, counter },
  };
}

/** Containers that may be running inputs: those with a worker and no stored end. */
async function loadLiveContainers(sql: Sql): Promise<LiveContainer[]> {
  const { rows } = await sql.query({
    text: "SELECT id, function_id, worker_id FROM container WHERE worker_id IS NOT NULL AND state NOT IN ('queued', 'exited')",
    values: [],
  });
  return rows.map((row) => ({
    containerId: asId("container", textOf(row, "id")),
    functionId: asId("function", textOf(row, "function_id")),
    workerId: asId("worker", textOf(row, "worker_id")),
  }));
}

/** Takes the one shard there is: the epoch of every attempt from now on is greater than that of any before. */
export async function takeShard(sql: Sql, owner: string): Promise<number> {
  const { rows } = await sql.query({
    text: `INSERT INTO shard (id, epoch, owner) VALUES (0, 1, $1)
           ON CONFLICT (id) DO UPDATE SET epoch = shard.epoch + 1, owner = excluded.owner RETURNING epoch`,
    values: [owner],
  });
  const [row] = rows;
  if (row === undefined) throw new Error("the shard row was not returned");
  return numberOf(row, "epoch");
}

/** What journals call their connections, so that their successor finds them. */
export const journalApplication = "squall journal";
const journalEndsWithinMs = 5_000;

/**
 * Ends connections of the journal of a process before us. A statement that it sent may still be under way although the process is gone: committed
 * after the backlog was read, its inputs would wait until the next restart.
 */
export async function endOlderJournals(sql: Sql): Promise<void> {
  await sql.query({
    text: `SELECT pg_terminate_backend(pid, $2) FROM pg_stat_activity WHERE application_name = $1 AND datname = current_database() AND usename = current_user`,
    values: [journalApplication, journalEndsWithinMs],
  });
}
