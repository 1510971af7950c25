/** Whose a call is: never changes, so it is read once and kept for the calls in use. */
import { asId, type Id } from "@squall/core/ids";
import type { SubmittedCall } from "@squall/dispatch/events";
import { booleanOf, numberOf, optionalNumberOf, type Sql, textOf } from "../journal/sql.ts";

export interface CallInfo {
  readonly callId: Id<"functionCall">;
  readonly workspaceId: Id<"workspace">;
  readonly functionId: Id<"function">;
  readonly appId: Id<"app">;
  readonly kind: "unary" | "map";
}

/** A call row with what dispatch needs to take it up again. */
export interface StoredCall extends CallInfo {
  readonly submitted: SubmittedCall;
  readonly numInputs: number | undefined;
  readonly createdAtMs: number;
}

export async function readCalls(sql: Sql, callIds: readonly string[]): Promise<StoredCall[]> {
  const { rows } = await sql.query({
    name: "calls by id",
    text: `SELECT c.id, c.workspace_id, c.function_id, c.app_id, c.kind, c.invocation, c.inputs_finished, c.cancelled_at_ms, c.num_inputs, c.created_at_ms,
             (SELECT coalesce(max(o.entry_sequence), 0) + 1 FROM output o WHERE o.function_call_id = c.id) AS next_sequence
           FROM function_call c WHERE c.id = ANY($1::text[])`,
    values: [callIds],
  });
  return rows.map((row) => {
    const callId = asId("functionCall", textOf(row, "id"));
    const functionId = asId("function", textOf(row, "function_id"));
    const appId = asId("app", textOf(row, "app_id"));
    return {
      callId,
      workspaceId: asId("workspace", textOf(row, "workspace_id")),
      functionId,
      appId,
      kind: textOf(row, "kind") === "map" ? "map" : "unary",
      numInputs: optionalNumberOf(row, "num_inputs"),
      createdAtMs: numberOf(row, "created_at_ms"),
      submitted: {
        callId,
        functionId,
        appId,
        invocation: numberOf(row, "invocation"),
        isClosed: booleanOf(row, "inputs_finished"),
        isCancelled: optionalNumberOf(row, "cancelled_at_ms") !== undefined,
        nextSequence: numberOf(row, "next_sequence"),
      },
    };
  });
}

const maxKept = 50_000;

export class CallInfos {
  readonly #kept = new Map<string, CallInfo>();
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  keep(info: CallInfo): void {
    if (this.#kept.size >= maxKept) {
      for (const oldest of this.#kept.keys()) {
        this.#kept.delete(oldest);
        break;
      }
    }
    this.#kept.set(info.callId, info);
  }

  async get(callId: Id<"functionCall">): Promise<CallInfo | undefined> {
    const kept = this.#kept.get(callId);
    if (kept !== undefined) return kept;
    const stored = await this.read(callId);
    if (stored !== undefined) this.keep(stored);
    return stored;
  }

  /** The row as it is now. */
  async read(callId: Id<"functionCall">): Promise<StoredCall | undefined> {
    const [stored] = await readCalls(this.#sql, [callId]);
    return stored;
  }
}
