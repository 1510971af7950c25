import { asId, newId } from "@squall/core/ids";
import { seededRandom } from "@squall/core/random";
import { TestClock } from "@squall/testkit/test-clock";
import { type TestDatabase, testDatabase } from "@squall/testkit/test-database";
import { type TestWorkspace, testWorkspace } from "@squall/testkit/test-workspace";
import { afterAll, beforeAll, expect, test } from "vitest";
import { loadUnfinished, takeShard } from "../input/load-unfinished.ts";
import type { CallRow, InputRow, OutputRow } from "./batch.ts";
import { holdAtMost, Journal } from "./journal.ts";
import { optionalBytesOf, type SqlConnection } from "./sql.ts";

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const source = { clock: new TestClock(), random: seededRandom(11) };
let database: TestDatabase;
let workspace: TestWorkspace;

beforeAll(async () => {
  database = await testDatabase();
  workspace = await testWorkspace(database);
}, 120_000);
afterAll(() => database.close());

function openJournal(connect: () => Promise<SqlConnection> = () => database.db.connectEngine()): Journal {
  return new Journal({ connect, log: silent, reconnectDelayMs: 5 });
}

function callRow(overrides: Partial<CallRow> = {}): CallRow {
  return {
    id: newId("functionCall", source),
    workspaceId: workspace.id,
    functionId: asId("function", `fu-${"1".repeat(22)}`),
    appId: asId("app", `ap-${"1".repeat(22)}`),
    kind: "map",
    invocation: 4,
    callerInputId: undefined,
    callerCallId: undefined,
    idempotencyKey: undefined,
    requestHash: undefined,
    createdAtMs: 1,
    isClosed: false,
    numInputs: undefined,
    ...overrides,
  };
}

function inputRow(call: CallRow, idx: number, overrides: Partial<InputRow> = {}): InputRow {
  const bytes = new Uint8Array([idx & 255, 0, 255]);
  return {
    id: newId("input", source),
    workspaceId: workspace.id,
    callId: call.id,
    functionId: call.functionId,
    idx,
    payload: { bytes },
    sizeBytes: bytes.length,
    createdAtMs: 1,
    withCall: false,
    ...overrides,
  };
}

function outputRow(input: InputRow, sequence: number): OutputRow {
  const result = { bytes: new TextEncoder().encode(`result of ${input.idx}`) };
  return {
    inputId: input.id,
    workspaceId: workspace.id,
    callId: input.callId,
    sequence,
    result,
    dataFormat: 1,
    containerId: undefined,
    startedAtMs: 1,
    createdAtMs: 2,
  };
}

async function rowsOf(text: string, values: unknown[]): Promise<Record<string, unknown>[]> {
  return (await database.db.engine.query<Record<string, unknown>>(text, values)).rows;
}

test("1,000 inputs with their outputs cost a few statements, not thousands", async () => {
  const journal = openJournal();
  const call = callRow();
  await journal.append({ calls: [call] });
  const inputs = Array.from({ length: 1000 }, (_, idx) => inputRow(call, idx));
  await Promise.all(inputs.map((input) => journal.append({ inputs: [input] })));
  await Promise.all(inputs.map((input, n) => journal.append({ outputs: [outputRow(input, n + 1)] })));
  expect(journal.statements).toBeLessThanOrEqual(7);
  const [counts] = await rowsOf(
    "SELECT count(*) FILTER (WHERE status = 1) AS done, count(DISTINCT payload) AS payloads FROM input WHERE function_call_id = $1",
    [call.id],
  );
  expect(counts).toEqual({ done: 1000, payloads: 256 });
  const outputs = await rowsOf("SELECT result FROM output WHERE function_call_id = $1 AND entry_sequence = 1000", [call.id]);
  expect(Buffer.from(optionalBytesOf(outputs[0] ?? {}, "result") ?? []).toString()).toBe("result of 999");
  await journal.close();
});

test("an idempotency key that stands answers the call that has it, and adds no inputs", async () => {
  const journal = openJournal();
  const first = callRow({ idempotencyKey: "key-1", requestHash: new Uint8Array([1]) });
  const second = callRow({ idempotencyKey: "key-1", requestHash: new Uint8Array([2]) });
  const [, result] = await Promise.all([
    journal.append({ calls: [first], inputs: [inputRow(first, 0, { withCall: true })] }),
    journal.append({ calls: [second], inputs: [inputRow(second, 0, { withCall: true })] }),
  ]);
  expect(result.existingCalls.get(second.id)?.id).toBe(first.id);
  expect(await rowsOf("SELECT idx FROM input WHERE function_call_id = ANY($1)", [[first.id, second.id]])).toHaveLength(1);
  await journal.close();
});

test("an input repeated with another id answers the one that stands", async () => {
  const journal = openJournal();
  const call = callRow();
  const first = inputRow(call, 3);
  const again = inputRow(call, 3);
  await journal.append({ calls: [call] });
  await journal.append({ inputs: [first] });
  const { existingInputs } = await journal.append({ inputs: [again, inputRow(call, 4)] });
  expect([...existingInputs]).toEqual([[again.id, first.id]]);
  await journal.close();
});

test("a result is stored once: the second is dropped", async () => {
  const journal = openJournal();
  const call = callRow();
  const input = inputRow(call, 0);
  await journal.append({ calls: [call], inputs: [input] });
  await journal.append({ outputs: [outputRow(input, 1)] });
  await journal.append({ outputs: [{ ...outputRow(input, 2), result: { bytes: new Uint8Array([9]) } }] });
  const outputs = await rowsOf("SELECT entry_sequence FROM output WHERE input_id = $1", [input.id]);
  expect(outputs).toEqual([{ entry_sequence: 1 }]);
  await journal.close();
});

test("a batch whose connection died before or after the commit is in exactly once", async () => {
  let failures = 4;
  const journal = openJournal(async () => {
    const client = await database.db.connectEngine();
    return {
      async query(query) {
        const fate = failures--;
        if (fate > 0 && fate % 2 === 0) throw Object.assign(new Error("connection reset"), { code: "ECONNRESET" });
        const answer = await client.query<Record<string, unknown>>(query);
        if (fate > 0) throw new Error("Connection terminated unexpectedly");
        return answer;
      },
      end: () => client.end(),
    };
  });
  const call = callRow({ idempotencyKey: "key-2", requestHash: new Uint8Array([1]) });
  const input = inputRow(call, 0, { withCall: true });
  const result = await journal.append({ calls: [call], inputs: [input], callChanges: [] });
  expect(result.existingCalls.size + result.existingInputs.size).toBe(0);
  expect(failures).toBeLessThan(1);
  expect(await rowsOf("SELECT id FROM input WHERE function_call_id = $1", [call.id])).toEqual([{ id: input.id }]);
  await journal.close();
});

test("an entry that the database refuses fails alone", async () => {
  const journal = openJournal();
  const call = callRow();
  const good = inputRow(call, 0);
  const bad = inputRow(call, 1, { functionId: asId("function", `fu-${"1".repeat(22)}`), sizeBytes: 2 ** 40 });
  await journal.append({ calls: [call] });
  const results = await Promise.allSettled([
    journal.append({ inputs: [good] }),
    journal.append({ inputs: [bad] }),
    journal.append({ inputs: [inputRow(call, 2)] }),
  ]);
  expect(results.map((result) => result.status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
  await journal.close();
});

test("a caller's patience is bounded while the database is away, and the entry still arrives", async () => {
  let isAway = true;
  const journal = openJournal(async () => {
    if (isAway) throw Object.assign(new Error("no server"), { code: "ECONNREFUSED" });
    return await database.db.connectEngine();
  });
  const call = callRow();
  const stored = journal.append({ calls: [call] });
  await expect(holdAtMost(stored, 20)).rejects.toMatchObject({ code: "unavailable" });
  isAway = false;
  await stored;
  expect(await rowsOf("SELECT id FROM function_call WHERE id = $1", [call.id])).toHaveLength(1);
  await journal.close();
});

test("the epoch grows with every owner", async () => {
  const first = await takeShard(database.db.engine, "a");
  expect(await takeShard(database.db.engine, "b")).toBe(first + 1);
});

test("what is unfinished is loaded with its history, what is done is not", async () => {
  const journal = openJournal();
  const fn = await makeFunction();
  const call = callRow({ functionId: fn.functionId, appId: fn.appId, isClosed: true });
  const [done, lost] = [inputRow(call, 0), inputRow(call, 1)];
  await journal.append({ calls: [call], inputs: [done, lost] });
  const attempt = { workspaceId: workspace.id, containerId: undefined, endedAtMs: 5, message: "gone" };
  await journal.append({ attempts: [{ ...attempt, inputId: lost.id, epoch: 1, counter: 7, outcome: "lost", nextRetryCount: 1 }] });
  await journal.append({
    attempts: [{ ...attempt, inputId: lost.id, epoch: 2, counter: 3, outcome: "failure", nextRetryCount: 2 }],
    outputs: [outputRow(done, 1)],
  });
  const seen: unknown[] = [];
  const backlog = await loadUnfinished(database.db.engine, {
    onCalls: (target, calls) => seen.push(target.policy.retry.max, ...calls.map(({ callId, isClosed, nextSequence }) => ({ callId, isClosed, nextSequence }))),
    onInputs: (inputs) =>
      seen.push(
        ...inputs
          .filter((input) => input.callId === call.id)
          .map(({ inputId, retryCount, failures, losses, lastEnded }) => ({ inputId, retryCount, failures, losses, lastEnded })),
      ),
  });
  expect(seen).toContainEqual({ callId: call.id, isClosed: true, nextSequence: 2 });
  expect(seen).toContainEqual({ inputId: lost.id, retryCount: 2, failures: 1, losses: 1, lastEnded: { epoch: 2, counter: 3 } });
  expect(seen).not.toContainEqual(expect.objectContaining({ inputId: done.id }));
  expect(backlog.stoppedApps).toEqual([]);
  await journal.close();
});

async function makeFunction() {
  const functionId = newId("function", source);
  const appId = newId("app", source);
  await database.owner.query(
    "INSERT INTO app (id, workspace_id, environment_id, description, state, created_at_ms) VALUES ($1, $2, $3, 'test', 'ephemeral', 1)",
    [appId, workspace.id, workspace.environmentId],
  );
  await database.owner.query(
    `INSERT INTO function (id, workspace_id, environment_id, app_id, tag, state, definition, kind, milli_cpu, memory_bytes, timeout_ms, startup_timeout_ms,
       scaledown_window_ms, retry_max, definition_id, created_at_ms)
     VALUES ($1, $2, $3, $4, 'f', 'created', '', 'function', 125, 1, 1, 1, 1, 2, 'de-1', 1)`,
    [functionId, workspace.id, workspace.environmentId, appId],
  );
  return { functionId, appId };
}
