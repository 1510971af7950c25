import { asId, type Id } from "@squall/core/ids";
import { authorize } from "../authorize.ts";
import type { ServiceContext } from "../context.ts";
import { numberOf, type Sql, textOf } from "../journal/sql.ts";
import type { CallEngine } from "./call-engine.ts";
import type { StoredCall } from "./call-info.ts";
import { fetchCall, fetchTarget } from "./internal.ts";

export interface CallSummary {
  readonly callId: Id<"functionCall">;
  readonly createdAtMs: number;
  readonly totalInputs: number;
  readonly pendingInputs: number;
}

const maxListed = 100;

/** The newest calls of a function. */
export async function listCalls({
  ctx,
  input,
  calls,
}: {
  ctx: ServiceContext<never>;
  input: { readonly functionId: string };
  calls: CallEngine;
}): Promise<CallSummary[]> {
  authorize(ctx, "functionCall", "read");
  const target = await fetchTarget(ctx, calls, input.functionId);
  return await summarise(calls.sql, "c.id IN (SELECT id FROM function_call WHERE function_id = $1 ORDER BY id DESC LIMIT $2)", [
    target.policy.functionId,
    maxListed,
  ]);
}

export async function getCallSummary({
  ctx,
  input,
  calls,
}: {
  ctx: ServiceContext<never>;
  input: { readonly callId: string };
  calls: CallEngine;
}): Promise<CallSummary> {
  authorize(ctx, "functionCall", "read");
  const { callId } = await fetchCall(ctx, calls, input.callId);
  const [summary] = await summarise(calls.sql, "c.id = $1", [callId]);
  if (summary === undefined) throw new Error(`call ${callId} vanished while it was read`);
  return summary;
}

/** The call as it is stored. */
export async function getCall({
  ctx,
  input,
  calls,
}: {
  ctx: ServiceContext<never>;
  input: { readonly callId: string };
  calls: CallEngine;
}): Promise<StoredCall> {
  authorize(ctx, "functionCall", "read");
  const { callId } = await fetchCall(ctx, calls, input.callId);
  const stored = await calls.infos.read(callId);
  if (stored === undefined) throw new Error(`call ${callId} vanished while it was read`);
  return stored;
}

async function summarise(sql: Sql, where: string, values: unknown[]): Promise<CallSummary[]> {
  const { rows } = await sql.query({
    text: `SELECT c.id, c.created_at_ms, count(i.id) AS total, count(i.id) FILTER (WHERE i.status = 0) AS pending
           FROM function_call c LEFT JOIN input i ON i.function_call_id = c.id WHERE ${where} GROUP BY c.id ORDER BY c.id DESC`,
    values,
  });
  return rows.map((row) => ({
    callId: asId("functionCall", textOf(row, "id")),
    createdAtMs: numberOf(row, "created_at_ms"),
    totalInputs: numberOf(row, "total"),
    pendingInputs: numberOf(row, "pending"),
  }));
}
