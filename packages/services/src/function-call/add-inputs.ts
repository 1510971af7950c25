import { asId, type Id } from "@squall/core/ids";
import { authorize } from "../authorize.ts";
import type { ServiceContext } from "../context.ts";
import { holdAtMost, maxHoldMs } from "../journal/journal.ts";
import type { CallEngine } from "./call-engine.ts";
import { fetchCall, fetchTarget, refuseOverflow, refuseStopped } from "./internal.ts";
import { type InputToSubmit, prepareInputs } from "./prepare-inputs.ts";

/** Accepts more inputs of a map. An input is unique by (call, idx): repeating one answers the one that stands. */
export async function addInputs({
  ctx,
  input,
  calls,
}: {
  ctx: ServiceContext<"objects" | "clock" | "random">;
  input: { readonly callId: string; readonly inputs: readonly InputToSubmit[] };
  calls: CallEngine;
}): Promise<readonly { readonly idx: number; readonly inputId: Id<"input"> }[]> {
  authorize(ctx, "functionCall", "write");
  const info = await fetchCall(ctx, calls, input.callId);
  const target = await fetchTarget(ctx, calls, info.functionId);
  refuseStopped(target);
  refuseOverflow(calls, ctx.workspace.id, input.inputs.length);
  const { callId, functionId } = info;
  const { rows, submitted } = await prepareInputs(ctx, { callId, functionId, inputs: input.inputs, withCall: false });
  const stored = calls.journal.append({ inputs: rows }).then(async ({ existingInputs }) => {
    const fresh = submitted.filter(({ inputId }) => !existingInputs.has(inputId));
    // Dispatch knows the call, or forgot it while nobody fed it and takes it up again as it is stored.
    const known = { callId, functionId, appId: info.appId, invocation: 0, isClosed: false, isCancelled: false, nextSequence: 1 };
    const call = calls.hasCall(callId) ? known : (await calls.infos.read(callId))?.submitted;
    if (call !== undefined) calls.submitted(target, call, fresh);
    return rows.map((row) => ({ idx: row.idx, inputId: asId("input", existingInputs.get(row.id) ?? row.id) }));
  });
  return await holdAtMost(stored, maxHoldMs);
}
