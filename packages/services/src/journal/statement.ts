/**
 * A batch as one statement, so that it costs one round trip and is committed whole. Each kind of row present adds a `WITH` part; every insert
 * says ON CONFLICT DO NOTHING, so that a batch of unknown fate can be sent again as it is.
 *
 * All parts see the database as it was before the statement and must not change one row twice: hence one UPDATE of `input` for outputs and
 * attempts together. Nothing in a batch depends on a row of the same batch but the inputs of a new call.
 */
import type { AttemptRow, Batch, CallChange, OutputRow, StoredBytes } from "./batch.ts";
import type { SqlQuery } from "./sql.ts";

export function statementFor(batch: Batch): SqlQuery {
  const statement = new Statement();
  addCalls(statement, batch);
  addInputs(statement, batch);
  addOutputs(statement, batch);
  addAttempts(statement, batch);
  addInputChanges(statement, batch);
  addChunks(statement, batch);
  addCallChanges(statement, batch);
  return statement.build();
}

function addCalls(statement: Statement, { calls }: Batch): void {
  if (calls.length === 0) return;
  const rows = statement.rows([
    ["id", "text", calls.map((row) => row.id)],
    ["workspace_id", "text", calls.map((row) => row.workspaceId)],
    ["function_id", "text", calls.map((row) => row.functionId)],
    ["app_id", "text", calls.map((row) => row.appId)],
    ["kind", "text", calls.map((row) => row.kind)],
    ["invocation", "smallint", calls.map((row) => row.invocation)],
    ["caller_input_id", "text", calls.map((row) => row.callerInputId ?? null)],
    ["caller_function_call_id", "text", calls.map((row) => row.callerCallId ?? null)],
    ["idempotency_key", "text", calls.map((row) => row.idempotencyKey ?? null)],
    ["request_hash", "text", calls.map((row) => (row.requestHash ? Buffer.from(row.requestHash).toString("hex") : null))],
    ["created_at_ms", "bigint", calls.map((row) => row.createdAtMs)],
    ["inputs_finished", "boolean", calls.map((row) => row.isClosed)],
    ["num_inputs", "int", calls.map((row) => row.numInputs ?? null)],
  ]);
  statement.part(
    "new_calls",
    `INSERT INTO function_call (id, workspace_id, function_id, app_id, kind, invocation, caller_input_id, caller_function_call_id, idempotency_key, request_hash, created_at_ms, inputs_finished, num_inputs)
     SELECT id, workspace_id, function_id, app_id, kind, invocation, caller_input_id, caller_function_call_id, idempotency_key, decode(request_hash, 'hex'), created_at_ms, inputs_finished, num_inputs
     FROM ${rows} ON CONFLICT DO NOTHING RETURNING id`,
    "(SELECT count(*) FROM new_calls) AS new_calls",
  );
}

function addInputs(statement: Statement, { inputs, calls }: Batch): void {
  if (inputs.length === 0) return;
  const payload = statement.bytes(inputs.map((row) => row.payload));
  const rows = statement.rows([
    ["id", "text", inputs.map((row) => row.id)],
    ["workspace_id", "text", inputs.map((row) => row.workspaceId)],
    ["call_id", "text", inputs.map((row) => row.callId)],
    ["function_id", "text", inputs.map((row) => row.functionId)],
    ["idx", "int", inputs.map((row) => row.idx)],
    ...payload.columns,
    ["size_bytes", "int", inputs.map((row) => row.sizeBytes)],
    ["created_at_ms", "bigint", inputs.map((row) => row.createdAtMs)],
    ["with_call", "boolean", inputs.map((row) => row.withCall)],
  ]);
  const onlyOfNewCalls = calls.length > 0 ? "WHERE NOT with_call OR call_id IN (SELECT id FROM new_calls)" : "";
  statement.part(
    "new_inputs",
    `INSERT INTO input (id, workspace_id, function_call_id, function_id, idx, payload, payload_object, size_bytes, retry_count, status, created_at_ms)
     SELECT id, workspace_id, call_id, function_id, idx, ${payload.inline}, object_key, size_bytes, 0, 0, created_at_ms
     FROM ${rows} ${onlyOfNewCalls} ON CONFLICT DO NOTHING RETURNING id`,
    "(SELECT count(*) FROM new_inputs) AS new_inputs",
  );
}

function addOutputs(statement: Statement, { outputs }: Batch): void {
  if (outputs.length === 0) return;
  const result = statement.bytes(outputs.map((row) => row.result));
  const rows = statement.rows([
    ["input_id", "text", outputs.map((row) => row.inputId)],
    ["workspace_id", "text", outputs.map((row) => row.workspaceId)],
    ["call_id", "text", outputs.map((row) => row.callId)],
    ["entry_sequence", "bigint", outputs.map((row) => row.sequence)],
    ...result.columns,
    ["data_format", "smallint", outputs.map((row) => row.dataFormat)],
    ["container_id", "text", outputs.map((row) => row.containerId ?? null)],
    ["started_at_ms", "bigint", outputs.map((row) => row.startedAtMs)],
    ["created_at_ms", "bigint", outputs.map((row) => row.createdAtMs)],
  ]);
  statement.part(
    "new_outputs",
    `INSERT INTO output (input_id, workspace_id, function_call_id, entry_sequence, result, result_object, data_format, container_id, started_at_ms, created_at_ms)
     SELECT input_id, workspace_id, call_id, entry_sequence, ${result.inline}, object_key, data_format, container_id, started_at_ms, created_at_ms
     FROM ${rows} ON CONFLICT (input_id) DO NOTHING`,
  );
}

function addAttempts(statement: Statement, { attempts }: Batch): void {
  if (attempts.length === 0) return;
  const rows = statement.rows([
    ["input_id", "text", attempts.map((row) => row.inputId)],
    ["epoch", "bigint", attempts.map((row) => row.epoch)],
    ["counter", "bigint", attempts.map((row) => row.counter)],
    ["workspace_id", "text", attempts.map((row) => row.workspaceId)],
    ["container_id", "text", attempts.map((row) => row.containerId ?? null)],
    ["outcome", "text", attempts.map((row) => row.outcome)],
    ["ended_at_ms", "bigint", attempts.map((row) => row.endedAtMs)],
    ["message", "text", attempts.map((row) => row.message)],
  ]);
  statement.part(
    "new_attempts",
    `INSERT INTO attempt (input_id, epoch, counter, workspace_id, container_id, outcome, ended_at_ms, message)
     SELECT input_id, epoch, counter, workspace_id, container_id, outcome, ended_at_ms, message FROM ${rows} ON CONFLICT DO NOTHING`,
  );
}

/** Done is done and retry counts only grow, so that repeating and merging are harmless. */
function addInputChanges(statement: Statement, { outputs, attempts }: Batch): void {
  const changes = inputChanges(outputs, attempts);
  if (changes.length === 0) return;
  const rows = statement.rows([
    ["id", "text", changes.map((change) => change.inputId)],
    ["status", "smallint", changes.map((change) => change.status)],
    ["retry_count", "int", changes.map((change) => change.retryCount)],
  ]);
  statement.part(
    "changed_inputs",
    `UPDATE input SET status = greatest(input.status, change.status), retry_count = greatest(input.retry_count, change.retry_count)
     FROM ${rows} AS change WHERE input.id = change.id`,
  );
}

function inputChanges(outputs: readonly OutputRow[], attempts: readonly AttemptRow[]): { inputId: string; status: number; retryCount: number }[] {
  const changes = new Map<string, { inputId: string; status: number; retryCount: number }>();
  for (const { inputId } of outputs) changes.set(inputId, { inputId, status: 1, retryCount: 0 });
  for (const { inputId, nextRetryCount } of attempts) {
    if (nextRetryCount === undefined) continue;
    const change = changes.get(inputId) ?? { inputId, status: 0, retryCount: 0 };
    change.retryCount = Math.max(change.retryCount, nextRetryCount);
    changes.set(inputId, change);
  }
  return [...changes.values()];
}

function addChunks(statement: Statement, { chunks }: Batch): void {
  if (chunks.length === 0) return;
  const chunk = statement.bytes(chunks.map((row) => row.chunk));
  const rows = statement.rows([
    ["call_id", "text", chunks.map((row) => row.callId)],
    ["workspace_id", "text", chunks.map((row) => row.workspaceId)],
    ["idx", "int", chunks.map((row) => row.idx)],
    ...chunk.columns,
  ]);
  statement.part(
    "new_data",
    `INSERT INTO data_chunk (function_call_id, workspace_id, idx, chunk, chunk_object)
     SELECT call_id, workspace_id, idx, ${chunk.inline}, object_key FROM ${rows} ON CONFLICT DO NOTHING`,
  );
}

function addCallChanges(statement: Statement, { callChanges }: Batch): void {
  if (callChanges.length === 0) return;
  const merged = mergeCallChanges(callChanges);
  const rows = statement.rows([
    ["id", "text", merged.map((change) => change.callId)],
    ["cancelled_at_ms", "bigint", merged.map((change) => change.cancelledAtMs ?? null)],
    ["is_closed", "boolean", merged.map((change) => change.isClosed ?? false)],
    ["num_inputs", "int", merged.map((change) => change.numInputs ?? null)],
  ]);
  statement.part(
    "changed_calls",
    `UPDATE function_call SET cancelled_at_ms = coalesce(function_call.cancelled_at_ms, change.cancelled_at_ms),
       inputs_finished = function_call.inputs_finished OR change.is_closed, num_inputs = coalesce(change.num_inputs, function_call.num_inputs)
     FROM ${rows} AS change WHERE function_call.id = change.id`,
  );
}

function mergeCallChanges(changes: readonly CallChange[]): CallChange[] {
  const merged = new Map<string, CallChange>();
  for (const change of changes) merged.set(change.callId, { ...merged.get(change.callId), ...change });
  return [...merged.values()];
}

type Column = readonly [name: string, type: "text" | "int" | "smallint" | "bigint" | "boolean", values: readonly unknown[]];

/** Collects the parts of one statement and their parameters. */
class Statement {
  readonly #parts: string[] = [];
  readonly #selects: string[] = [];
  readonly #kinds: string[] = [];
  readonly #values: unknown[] = [];

  /** A set of rows as `unnest` of one array per column. */
  rows(columns: readonly Column[]): string {
    const parameters = columns.map(([, type, values]) => {
      this.#values.push(values);
      return `$${this.#values.length}::${type}[]`;
    });
    return `(SELECT * FROM unnest(${parameters.join(", ")}) AS r(${columns.map(([name]) => name).join(", ")}))`;
  }

  /** Bytes of all rows in one binary parameter, cut out by offset: arrays of bytea would travel as text of twice the size. */
  bytes(stored: readonly StoredBytes[]): { readonly columns: readonly Column[]; readonly inline: string } {
    const offsets: (number | null)[] = [];
    const pieces: Uint8Array[] = [];
    let offset = 1;
    for (const each of stored) {
      const piece = "bytes" in each ? each.bytes : undefined;
      offsets.push(piece === undefined ? null : offset);
      if (piece === undefined) continue;
      pieces.push(piece);
      offset += piece.length;
    }
    this.#values.push(Buffer.concat(pieces));
    const blob = `$${this.#values.length}::bytea`;
    return {
      columns: [
        ["byte_offset", "int", offsets],
        ["byte_length", "int", stored.map((each) => ("bytes" in each ? each.bytes.length : null))],
        ["object_key", "text", stored.map((each) => ("objectKey" in each ? each.objectKey : null))],
      ],
      inline: `substring(${blob} FROM byte_offset FOR byte_length)`,
    };
  }

  part(kind: string, sql: string, select?: string): void {
    this.#kinds.push(kind);
    this.#parts.push(`${kind} AS (${sql})`);
    if (select !== undefined) this.#selects.push(select);
  }

  build(): SqlQuery {
    const selects = this.#selects.length > 0 ? this.#selects.join(", ") : "1 AS done";
    // Initials: names of prepared statements end at 63 characters.
    const name = `journal ${this.#kinds.map((kind) => kind.replace(/([a-z])[a-z]*_([a-z])[a-z]*/, "$1$2")).join(" ")}`;
    return { name, text: `WITH ${this.#parts.join(",\n")} SELECT ${selects}`, values: this.#values };
  }
}
