import { timingSafeEqual } from "node:crypto";
import { ServiceError } from "@squall/core/errors";
import { asId, type Id, newId } from "@squall/core/ids";
import { authorize } from "../authorize.ts";
import type { ServiceContext } from "../context.ts";
import type { CallRow, InputRow } from "../journal/batch.ts";
import { holdAtMost, maxHoldMs } from "../journal/journal.ts";
import { numberOf, textOf } from "../journal/sql.ts";
import type { CallEngine } from "./call-engine.ts";
import type { CallTarget } from "./call-target.ts";
import { fetchTarget, hashRequest, refuseOverflow, refuseStopped } from "./internal.ts";
import { type InputToSubmit, prepareInputs } from "./prepare-inputs.ts";

export interface SubmitCallInput {
  readonly functionId: string;
  readonly kind: "unary" | "map";
  /** The client's invocation type, as on the wire. */
  readonly invocation: number;
  /** The input from inside which the call is made. */
  readonly callerInputId: string | undefined;
  readonly inputs: readonly InputToSubmit[];
}

export interface SubmittedFunctionCall {
  readonly callId: Id<"functionCall">;
  readonly inputs: readonly { readonly idx: number; readonly inputId: Id<"input"> }[];
  readonly target: CallTarget;
}

/**
 * Accepts a call with its first inputs: when this resolves they are durable. The same idempotency key with the same request answers the same
 * call, with another request it is refused.
 */
export async function submitCall({
  ctx,
  input,
  calls,
}: {
  ctx: ServiceContext<"objects" | "clock" | "random">;
  input: SubmitCallInput;
  calls: CallEngine;
}): Promise<SubmittedFunctionCall> {
  authorize(ctx, "functionCall", "write");
  const target = await fetchTarget(ctx, calls, input.functionId);
  refuseStopped(target);
  refuseOverflow(calls, ctx.workspace.id, input.inputs.length);
  const row = callRow(ctx, target, input);
  const { rows, submitted } = await prepareInputs(ctx, { callId: row.id, functionId: row.functionId, inputs: input.inputs, withCall: true });
  // Dispatch learns of it when it is stored, even if the caller gave up waiting by then.
  const stored = calls.journal.append({ calls: [row], inputs: rows }).then((result) => {
    const existing = result.existingCalls.get(row.id);
    if (existing === undefined) {
      calls.infos.keep({ callId: row.id, workspaceId: row.workspaceId, functionId: row.functionId, appId: row.appId, kind: row.kind });
      calls.outputs.open(row.id);
      const { id: callId, functionId, appId, invocation, isClosed } = row;
      calls.submitted(target, { callId, functionId, appId, invocation, isClosed, isCancelled: false, nextSequence: 1 }, submitted);
    }
    return existing;
  });
  const existing = await holdAtMost(stored, maxHoldMs);
  if (existing === undefined) return { callId: row.id, inputs: accepted(rows), target };
  return { ...(await repeatedCall(calls, row, existing)), target };
}

function callRow(ctx: ServiceContext<"clock" | "random">, target: CallTarget, input: SubmitCallInput): CallRow {
  const hashed = [input.functionId, input.kind, input.invocation, input.callerInputId ?? "", ...input.inputs.flatMap(({ idx, payload }) => [idx, payload])];
  const isUnary = input.kind === "unary";
  return {
    id: newId("functionCall", ctx.deps),
    workspaceId: ctx.workspace.id,
    functionId: target.policy.functionId,
    appId: target.policy.appId,
    kind: input.kind,
    invocation: input.invocation,
    callerInputId: input.callerInputId,
    callerCallId: undefined,
    idempotencyKey: ctx.idempotencyKey,
    requestHash: ctx.idempotencyKey === undefined ? undefined : hashRequest(hashed),
    createdAtMs: ctx.deps.clock.now(),
    // A unary call whose input did not come with it gets it by a second request.
    isClosed: isUnary && input.inputs.length > 0,
    numInputs: isUnary ? 1 : undefined,
  };
}

function accepted(rows: readonly InputRow[]): SubmittedFunctionCall["inputs"] {
  return rows.map((row) => ({ idx: row.idx, inputId: row.id }));
}

async function repeatedCall(
  calls: CallEngine,
  mine: CallRow,
  existing: { readonly id: string; readonly requestHash: Uint8Array | undefined },
): Promise<Omit<SubmittedFunctionCall, "target">> {
  const { requestHash } = existing;
  const isSame = requestHash !== undefined && mine.requestHash !== undefined && timingSafeEqual(requestHash, mine.requestHash);
  if (!isSame) throw new ServiceError("alreadyExists", "This idempotency key was used for another request.");
  const { rows } = await calls.sql.query({
    text: "SELECT id, idx FROM input WHERE function_call_id = $1 ORDER BY idx LIMIT 1000",
    values: [existing.id],
  });
  const inputs = rows.map((row) => ({ idx: numberOf(row, "idx"), inputId: asId("input", textOf(row, "id")) }));
  return { callId: asId("functionCall", existing.id), inputs };
}
